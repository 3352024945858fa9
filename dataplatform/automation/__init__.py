"""When work starts by itself: schedules that ask the planner."""
