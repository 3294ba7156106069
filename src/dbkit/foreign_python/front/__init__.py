"""The directory that an interpreter finds dbkit by: nothing may be in it but the package `dbkit`."""
