"""Services: processes under one guard, their readiness and their logs."""
