"""The asset checks: what each of them looks at, beside the table of all of them."""
