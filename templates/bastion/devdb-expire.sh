#!/bin/sh
# Powers this instance off once its deadline has passed; EC2 then terminates it.
# The deadline may be moved by the login user; never past the cap, which only root may write.
cap=$(cat /etc/devdb/cap 2>/dev/null) || exit 0
deadline=$(head -c 16 /var/lib/devdb/deadline 2>/dev/null)
case "$deadline" in
    '' | *[!0-9]* | ????????????*) deadline=$(cat /etc/devdb/first-deadline) ;;
esac
if [ "$deadline" -gt "$cap" ]; then
    deadline=$cap
fi
if [ "$(date +%s)" -ge "$deadline" ]; then
    exec poweroff
fi
