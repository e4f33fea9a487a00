"""Protection between ticks: the job that protects the book and the sensor that requests it."""
