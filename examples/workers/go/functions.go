package main

import (
	"context"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// What this worker can do. Put your own functions here: they get the arguments, and return text or anything that JSON
// can hold. Pass the context on to all that waits: it ends when the caller gives up.
var functions = map[string]Function{
	"get_weather": getWeather,
	"add":         add,
	"echo":        echo,
	"wait":        wait,
	"fail":        fail,
}

// Function answers one tool call.
type Function func(ctx context.Context, arguments json.RawMessage) (any, error)

// Refused is told to the caller. The model reads it, so say what to do better.
type Refused struct {
	Code     string
	Sentence string
}

func (refused Refused) Error() string { return refused.Sentence }

func bad(sentence string) error { return Refused{"400", sentence} }

func getWeather(_ context.Context, arguments json.RawMessage) (any, error) {
	var of struct {
		City string `json:"city"`
	}
	if json.Unmarshal(arguments, &of) != nil || strings.TrimSpace(of.City) == "" {
		return nil, bad("city must be the name of a city, such as Oslo")
	}
	return map[string]any{"city": of.City, "celsius": 21, "sky": "clear"}, nil
}

func add(_ context.Context, arguments json.RawMessage) (any, error) {
	var of struct {
		A *float64 `json:"a"`
		B *float64 `json:"b"`
	}
	if json.Unmarshal(arguments, &of) != nil || of.A == nil || of.B == nil {
		return nil, bad("a and b must be numbers")
	}
	sum := *of.A + *of.B
	if math.IsInf(sum, 0) {
		return nil, bad("the sum is too large")
	}
	return strconv.FormatFloat(sum, 'f', -1, 64), nil
}

func echo(_ context.Context, arguments json.RawMessage) (any, error) {
	of := struct {
		Text   string `json:"text"`
		Repeat int    `json:"repeat"`
	}{Repeat: 1}
	if json.Unmarshal(arguments, &of) != nil || of.Text == "" || of.Repeat < 1 || of.Repeat > 1000 {
		return nil, bad("text must be a text that is not empty, and repeat a whole number from 1 to 1000")
	}
	if len(of.Text)*of.Repeat > 1_000_000 {
		return nil, bad("the answer would be longer than 1,000,000 bytes")
	}
	return strings.Repeat(of.Text, of.Repeat), nil
}

func wait(ctx context.Context, arguments json.RawMessage) (any, error) {
	of := struct {
		Milliseconds int `json:"milliseconds"`
	}{Milliseconds: -1}
	if json.Unmarshal(arguments, &of) != nil || of.Milliseconds < 0 || of.Milliseconds > 60_000 {
		return nil, bad("milliseconds must be a whole number from 0 to 60000")
	}
	select {
	case <-time.After(time.Duration(of.Milliseconds) * time.Millisecond):
		return "waited", nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func fail(context.Context, json.RawMessage) (any, error) {
	return nil, Refused{"500", "the function failed on purpose"}
}
