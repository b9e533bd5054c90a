#!/bin/sh
# Answers one call: the arguments are JSON on standard input, the answer is standard output. An exit code other than 0
# is an error, and the last line of standard error is told to the caller. The name of the function is in
# HOOKBUS_FUNCTION. `hookbus answer` ends the process at the deadline.
set -eu

refuse() {
    echo "$1" >&2
    exit 1
}

arguments=$(cat)
# What jq prints for these arguments, or nothing where they are others.
read_arguments() {
    printf '%s' "$arguments" | jq --join-output --compact-output "$1" 2>/dev/null
}

case "$HOOKBUS_FUNCTION" in
get_weather)
    read_arguments '.city | select(type == "string" and test("\\S")) | {city: ., celsius: 21, sky: "clear"} // error' |
        grep . || refuse "city must be the name of a city, such as Oslo"
    ;;
add)
    read_arguments 'if (.a, .b | type == "number" | not) then error else .a + .b end' ||
        refuse "a and b must be numbers"
    ;;
echo)
    read_arguments '(.repeat // 1) as $repeat
        | if (.text | type) != "string" or .text == "" or $repeat < 1 or $repeat > 1000 or $repeat != ($repeat | floor)
          then error else .text * $repeat end' ||
        refuse "text must be a text that is not empty, and repeat a whole number from 1 to 1000"
    ;;
wait)
    seconds=$(read_arguments '.milliseconds | select(type == "number" and . >= 0 and . <= 60000) / 1000')
    [ -n "$seconds" ] || refuse "milliseconds must be a whole number from 0 to 60000"
    sleep "$seconds"
    echo waited
    ;;
fail) refuse "the function failed on purpose" ;;
esac
