#!/bin/sh
# First boot: sets the deadline, starts its timer, tries BBR, and writes the ready mark last.
set -eu
now=$(date +%s)
mkdir -p /etc/devdb /var/lib/devdb
echo "$((now + {{cap_s}}))" >/etc/devdb/cap
echo "$((now + {{ttl_s}}))" >/etc/devdb/first-deadline
chmod 0644 /etc/devdb/cap /etc/devdb/first-deadline
# Before anything that can fail: an instance that never gets ready has to end as well.
systemctl daemon-reload
systemctl enable --now devdb-expire.timer
cp /etc/devdb/first-deadline /var/lib/devdb/deadline
chown {{user}} /var/lib/devdb/deadline
chmod 0644 /var/lib/devdb/deadline
# Without this the login user could raise the cap through sudo.
rm -f /etc/sudoers.d/90-cloud-init-users
{ modprobe tcp_bbr && sysctl -q -p /etc/sysctl.d/90-devdb.conf; } || true
sshd -t
echo 'ready {{spec}}' >/var/lib/devdb/ready.part
chmod 0644 /var/lib/devdb/ready.part
mv /var/lib/devdb/ready.part /var/lib/devdb/ready
