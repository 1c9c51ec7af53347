#!/bin/sh
# Greets whoever is named, or the world.
echo "$GREETING, ${1:-world}!"
cat /opt/hello/message.txt
