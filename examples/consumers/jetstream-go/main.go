// Reads hookbus's events from JetStream: durable, each acknowledged after the work, each id worked on once.
package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	if err := run(stop); err != nil {
		slog.Error("the consumer ends", "error", err)
		os.Exit(1)
	}
}

func run(stop context.Context) error {
	client, err := nats.Connect(cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL), nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	defer client.Close()
	stream, err := jetstream.New(client)
	if err != nil {
		return err
	}
	consumer, err := stream.CreateOrUpdateConsumer(stop, cmp.Or(os.Getenv("HOOKBUS_STREAM"), "VAPI"), jetstream.ConsumerConfig{
		Durable:       cmp.Or(os.Getenv("HOOKBUS_DURABLE"), "go-consumer"),
		FilterSubject: os.Getenv("HOOKBUS_SUBJECT"), // such as vapi.events.end-of-call-report; all where it is empty
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       30 * time.Second, // longer than the work takes: what isn't acknowledged by then comes again
	})
	if err != nil {
		return err
	}
	seen := newSeen(10_000)
	// One message after the other, in order. Further processes with the same durable name share the work.
	reading, err := consumer.Consume(func(message jetstream.Msg) { handle(message, seen) })
	if err != nil {
		return err
	}
	fmt.Println("ready")
	<-stop.Done()
	reading.Drain() // what has arrived is worked on; the rest goes to the next reader
	<-reading.Closed()
	return client.Flush()
}

func handle(message jetstream.Msg, seen *seen) {
	received, err := read(message)
	if err != nil {
		// It will not be an event the next time either.
		slog.Error("not an event", "subject", message.Subject(), "error", err)
		_ = message.Term()
		return
	}
	if !seen.has(received.ID()) {
		if err := work(received); err != nil {
			slog.Error("again in 5 s", "id", received.ID(), "error", err)
			_ = message.NakWithDelay(5 * time.Second)
			return
		}
		seen.add(received.ID())
	}
	if err := message.Ack(); err != nil {
		slog.Warn("not acknowledged; it comes again", "id", received.ID(), "error", err)
	}
}

// read makes the event. The SDK's HTTP binding is the NATS binding but for two things: where the content type stands,
// and that this SDK doesn't decode the percent-encoding of the values.
func read(message jetstream.Msg) (*event.Event, error) {
	headers := http.Header{}
	for name, values := range message.Headers() {
		value, err := url.PathUnescape(values[0])
		if err != nil {
			value = values[0]
		}
		if name == "ce-datacontenttype" {
			name = "content-type"
		}
		headers.Set(name, value)
	}
	body := io.NopCloser(bytes.NewReader(message.Data()))
	return binding.ToEvent(context.Background(), cehttp.NewMessage(headers, body))
}

// work is your part. It may meet an event twice all the same: this process forgets its ids when it ends.
func work(received *event.Event) error {
	line := map[string]any{
		"id": received.ID(), "type": received.Type(), "subject": received.Subject(), "source": received.Source(),
		"time": received.Time(), "datacontenttype": received.DataContentType(), "size": len(received.Data()),
		"sha256": fmt.Sprintf("%x", sha256.Sum256(received.Data())),
	}
	return json.NewEncoder(os.Stdout).Encode(line)
}

// seen holds the newest ids.
type seen struct {
	ids   map[string]bool
	order []string
	next  int
}

func newSeen(size int) *seen { return &seen{map[string]bool{}, make([]string, size), 0} }

func (seen *seen) has(id string) bool { return seen.ids[id] }

func (seen *seen) add(id string) {
	delete(seen.ids, seen.order[seen.next])
	seen.ids[id], seen.order[seen.next] = true, id
	seen.next = (seen.next + 1) % len(seen.order)
}
