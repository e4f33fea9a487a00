"""What tests of several directories stand on: exchanges, desks and stand-ins of them, never a test.

What one directory alone needs lies in that directory.
"""
