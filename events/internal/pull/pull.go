// SPDX-License-Identifier: Apache-2.0

package pull

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// Expiry ends an idle request; Heartbeat proves meanwhile that the server
	// still has it, and Silence without one means that it has not.
	Expiry    = 10 * time.Second
	Heartbeat = 500 * time.Millisecond
	Silence   = 3 * Heartbeat
	// MaxBytes bounds what one request may put in flight.
	MaxBytes = 16 << 20
)

// Verdict is what Take makes of something received.
type Verdict int

// Verdicts.
const (
	// Message: a stored message, with its Place.
	Message Verdict = iota
	// Idle: a heartbeat, there is nothing to deliver.
	Idle
	// Ended: a request ran out; Owed has gone down.
	Ended
	// Lost: the consumer is gone or cannot be relied on; start anew.
	Lost
)

// Loop pulls from one consumer.
type Loop struct {
	nc    *nats.Conn
	sub   *nats.Subscription
	ch    chan *nats.Msg
	inbox string
	next  string
	asked uint64
	owed  int
}

// API returns the first tokens of the JetStream API subjects of js, with the
// closing dot.
func API(js jetstream.JetStream) string {
	o := js.Options()
	switch {
	case o.Domain != "":
		return "$JS." + o.Domain + ".API."
	case o.APIPrefix != "":
		return strings.TrimSuffix(o.APIPrefix, ".") + "."
	}
	return jetstream.DefaultAPIPrefix
}

// New prepares to pull from a consumer. At most room messages may ever be owed.
func New(nc *nats.Conn, api, stream, consumer string, room int) (*Loop, error) {
	l := &Loop{
		nc: nc, ch: make(chan *nats.Msg, room+256), inbox: nc.NewInbox(),
		next: api + "CONSUMER.MSG.NEXT." + stream + "." + consumer,
	}
	var err error
	if l.sub, err = nc.ChanSubscribe(l.inbox+".*", l.ch); err != nil {
		return nil, fmt.Errorf("pull from %s/%s: %w", stream, consumer, err)
	}
	return l, nil
}

// C delivers what the server sends; pass all of it to Take.
func (l *Loop) C() <-chan *nats.Msg { return l.ch }

// Owed is how many messages were asked for and have not come yet.
func (l *Loop) Owed() int { return l.owed }

// Forget writes off what is owed, after Silence.
func (l *Loop) Forget() { l.owed = 0 }

// Ask requests n more messages.
func (l *Loop) Ask(n int) error {
	l.asked++
	body := make([]byte, 0, 96)
	body = append(body, `{"batch":`...)
	body = strconv.AppendInt(body, int64(n), 10)
	body = append(body, `,"max_bytes":`...)
	body = strconv.AppendInt(body, MaxBytes, 10)
	body = append(body, `,"expires":`...)
	body = strconv.AppendInt(body, int64(Expiry), 10)
	body = append(body, `,"idle_heartbeat":`...)
	body = strconv.AppendInt(body, int64(Heartbeat), 10)
	body = append(body, '}')
	if err := l.nc.PublishRequest(l.next, l.inbox+"."+strconv.FormatUint(l.asked, 36), body); err != nil {
		return fmt.Errorf("pull: %w", err)
	}
	l.owed += n
	return nil
}

// Take judges something received.
func (l *Loop) Take(m *nats.Msg) (Place, Verdict) {
	if p, ok := ParsePlace(m.Reply); ok {
		l.owed--
		return p, Message
	}
	switch m.Header.Get("Status") {
	case "100":
		return Place{}, Idle
	case "404", "408":
	case "409":
		d := m.Header.Get("Description")
		if !strings.Contains(d, "MaxBytes") && !strings.Contains(d, "Batch Completed") {
			return Place{}, Lost // consumer deleted, leader changed, server going down
		}
	default:
		return Place{}, Lost
	}
	n, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
	if err != nil {
		return Place{}, Lost
	}
	l.owed = max(l.owed-n, 0)
	return Place{}, Ended
}

// Drain unsubscribes and waits until what the server sent before is in C, or
// the timeout has passed.
func (l *Loop) Drain(timeout time.Duration) {
	if l.sub.Drain() == nil && l.owed > 0 {
		// Messages on their way arrive before the answer to this.
		_ = l.nc.FlushTimeout(timeout) // fails only without a connection
	}
}

// Stop unsubscribes. What is in C is left there.
func (l *Loop) Stop() {
	_ = l.sub.Unsubscribe() // fails only when the connection is gone
}

// Delivered is the server's count of deliveries in a heartbeat, 0 when it does
// not say.
func Delivered(m *nats.Msg) uint64 {
	n, err := strconv.ParseUint(m.Header.Get("Nats-Last-Consumer"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
