// Package relay joins who sends a stream with who takes it; nothing of it is
// stored.
package relay

import (
	"context"
	"io"
	"time"
)

// Options are the bounds of a Relay.
type Options struct {
	// Meet is how long one end waits for the other; default 30 s.
	Meet time.Duration
	// Silence is how long a sender may send nothing, not even a heartbeat; default
	// 30 s.
	Silence time.Duration
	// Stall is how long a taker may take nothing; default 2 min, for it may have
	// slow disks.
	Stall time.Duration
}

// A Relay is the controller's. It is migrate.Streams, and what the API serves to
// agents. All methods may be called concurrently.
type Relay struct {
	opts Options
}

// New makes a Relay. It starts nothing.
func New(opts Options) *Relay { return &Relay{opts: opts} }

// Open is that of migrate.Streams.
func (r *Relay) Open(from, to string) (name string, end func()) { panic("not built yet") }

// Send gives what from has to the node that takes the stream.
func (r *Relay) Send(ctx context.Context, name, node string, from io.Reader) error {
	panic("not built yet")
}

// Take writes to to what the node sends that the stream comes from.
func (r *Relay) Take(ctx context.Context, name, node string, to io.Writer) error {
	panic("not built yet")
}
