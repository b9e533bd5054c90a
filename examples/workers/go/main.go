// A worker for hookbus: a NATS micro service that answers tool calls with the functions of functions.go.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

const (
	atOnce   = 16               // calls of one function; more of them wait their turn, and a slow function holds up no other
	patience = 20 * time.Second // for a call without a deadline, such as one made by hand
)

var traceparent = regexp.MustCompile(`^00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$`)

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	if err := run(stop); err != nil {
		slog.Error("the worker ends", "error", err)
		os.Exit(1)
	}
}

func run(stop context.Context) error {
	connected := make(chan struct{}, 1)
	client, err := nats.Connect(cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL),
		nats.MaxReconnects(-1), nats.ReconnectWait(500*time.Millisecond), nats.PingInterval(20*time.Second),
		nats.RetryOnFailedConnect(true), // the server may come after this worker
		nats.ConnectHandler(func(*nats.Conn) { connected <- struct{}{} }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { slog.Warn("disconnected", "error", err) }))
	if err != nil {
		return err
	}
	select {
	case <-connected:
	case <-stop.Done():
		client.Close()
		return nil
	}

	service, err := micro.AddService(client, micro.Config{Name: "go-worker", Version: "1.0.0"})
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	group := service.AddGroup(cmp.Or(os.Getenv("HOOKBUS_ENDPOINT"), "vapi") + ".tool")
	for name, function := range functions {
		turns := make(chan struct{}, atOnce)
		// The client calls this for one question after the other, so the work itself is handed to a goroutine.
		each := func(request micro.Request) {
			running.Go(func() { answer(name, function, request, turns) })
		}
		if err := group.AddEndpoint(name, micro.HandlerFunc(each)); err != nil {
			return err
		}
	}
	if err := client.Flush(); err != nil {
		return err
	}
	fmt.Println("ready")

	<-stop.Done()
	// No new questions. Those that have arrived are still handed out: the subscriptions end after the last of them.
	if err := service.Stop(); err != nil {
		return err
	}
	for left := 1; left > 0; time.Sleep(20 * time.Millisecond) {
		left = client.NumSubscriptions()
	}
	running.Wait()
	err = client.Flush()
	client.Close()
	return err
}

func answer(name string, function Function, request micro.Request, turns chan struct{}) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), timeLeft(request.Headers()))
	defer cancel()
	outcome := "expired"
	select {
	case turns <- struct{}{}:
		if ctx.Err() == nil {
			outcome = reply(ctx, function, request)
		}
		<-turns
	case <-ctx.Done():
	}
	trace, span := traced(request.Headers())
	slog.Info("call", "function", name, "id", request.Headers().Get("Hookbus-Id"), "outcome", outcome,
		"milliseconds", time.Since(began).Milliseconds(), "trace", trace, "span", span)
}

// reply answers and says what became of it. Whoever is late says nothing: nobody listens any more.
func reply(ctx context.Context, function Function, request micro.Request) string {
	var call struct {
		Arguments json.RawMessage `json:"arguments"`
	}
	if err := json.Unmarshal(request.Data(), &call); err != nil || call.Arguments == nil {
		return refuse(request, bad("the call must be a JSON object with arguments"))
	}
	answer, err := function(ctx, call.Arguments)
	if ctx.Err() != nil {
		return "given up at the deadline"
	}
	if err != nil {
		return refuse(request, err)
	}
	text, isText := answer.(string)
	if isText {
		err = request.Respond([]byte(text))
	} else {
		err = request.RespondJSON(answer)
	}
	if err != nil {
		return "not sent: " + err.Error()
	}
	return "answered"
}

func refuse(request micro.Request, reason error) string {
	refused, outcome := Refused{"500", "the function failed"}, "failed: "
	if errors.As(reason, &refused) {
		outcome = "refused: "
	}
	if err := request.Error(refused.Code, refused.Sentence, nil); err != nil {
		return "not sent: " + err.Error()
	}
	return outcome + reason.Error()
}

// timeLeft until the caller gives up: by the clock, or by the span that is given along where that is shorter.
func timeLeft(headers micro.Headers) time.Duration {
	left := patience
	if span, err := strconv.ParseInt(headers.Get("Hookbus-Timeout-Ms"), 10, 64); err == nil {
		left = time.Duration(span) * time.Millisecond
	}
	if deadline, err := strconv.ParseInt(headers.Get("Hookbus-Deadline"), 10, 64); err == nil {
		left = min(left, time.Until(time.UnixMilli(deadline)))
	}
	return left
}

// traced gives our own span in the caller's trace. With OpenTelemetry, hand the headers to its propagator instead.
func traced(headers micro.Headers) (trace, span string) {
	random := make([]byte, 24)
	_, _ = rand.Read(random) // it never fails
	trace, span = hex.EncodeToString(random[:16]), hex.EncodeToString(random[16:])
	if found := traceparent.FindStringSubmatch(headers.Get("traceparent")); found != nil {
		trace = found[1]
	}
	return trace, span
}
