#cloud-boothook
#!/bin/sh
echo "alone ${INSTANCE_ID:+with an ID}" >>/var/log/witness
