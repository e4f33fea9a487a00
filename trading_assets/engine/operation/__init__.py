"""Who sets the desk to work, and when: a person, the timetable, trade updates, the watchdog."""
