#!/bin/sh
# Answers one call: the arguments are JSON on standard input, the answer is standard output. An exit code other than 0
# is an error, and the last line of standard error is told to the caller. The name of the function is in
# HOOKBUS_FUNCTION. `hookbus answer` ends the process at the deadline.
set -eu

refuse() {
    echo "$1" >&2
    exit 1
}

# What jq makes of the arguments; nothing, and a failure, where they are not as they should be.
make() {
    jq --join-output --compact-output --exit-status "$1" 2>/dev/null
}

case "$HOOKBUS_FUNCTION" in
get_weather)
    make '.city | select(type == "string" and test("\\S")) | {city: ., celsius: 21, sky: "clear"}' ||
        refuse "city must be the name of a city, such as Oslo"
    ;;
add)
    make 'select([.a, .b] | all(type == "number")) | .a + .b' || refuse "a and b must be numbers"
    ;;
echo)
    make '.repeat //= 1
        | select((.text | type == "string" and . != "") and (.repeat | type == "number" and . == floor))
        | select(.repeat >= 1 and .repeat <= 1000)
        | .text * .repeat' ||
        refuse "text must be a text that is not empty, and repeat a whole number from 1 to 1000"
    ;;
wait)
    seconds=$(make '.milliseconds | select(type == "number" and . >= 0 and . <= 60000) / 1000') ||
        refuse "milliseconds must be a whole number from 0 to 60000"
    sleep "$seconds"
    echo waited
    ;;
fail) refuse "the function failed on purpose" ;;
*) refuse "there is no such function" ;;
esac
