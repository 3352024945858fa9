"""When work starts by itself: sensors and schedules that ask the planner."""
