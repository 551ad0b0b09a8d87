package migrate

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/migrate/saga"
	"github.com/nicferry/nicferry/nic"
)

// Options are the parts of a Mover.
type Options struct {
	Store store.Store // required
	Parts
	Log *slog.Logger // required
	// Events hears what happens, after it is stored. Optional.
	Events Recorder
	// Observer is told of it too, for metrics. Optional.
	Observer Observer
	// Steps makes the steps of a move from its record alone: those of its names,
	// in its order. Optional: without it they are the package's own.
	Steps func(Parts, Journal) []saga.Step[nic.Move]
}

// A Recorder remembers what happens, for people. Add never waits.
type Recorder interface{ Add(e api.Event) }

// An Observer is told of moves. Its methods never wait.
type Observer interface {
	// Moved: a move has ended, or was parked: done, undone, parked.
	Moved(result string)
	// MoveStepped: one try of a step is over: ok, failed, undone.
	MoveStepped(step, result string, took time.Duration)
	// MoveSilent is how long a container that has moved answered nobody.
	MoveSilent(took time.Duration)
	// MoveCopied: a step has copied so many bytes.
	MoveCopied(what string, bytes int64)
}

// The errors that callers branch on. Reasons against a move are nic.MoveRefusals.
var (
	ErrNotFound = errors.New("not found")
	ErrInvalid  = errors.New("invalid")
	// ErrRefused: it cannot be done as things are.
	ErrRefused = errors.New("refused")
)

// The bounds of what is kept of moves that are over.
const (
	keptFor   = 7 * 24 * time.Hour
	keptMoves = 1000
)

func (opts *Options) check() error {
	if opts.Store == nil || opts.Claims == nil || opts.Orders == nil || opts.Streams == nil || opts.Log == nil {
		return fmt.Errorf("make a mover: a required part is missing: %w", ErrInvalid)
	}
	if opts.Steps == nil {
		opts.Steps = Steps
	}
	if opts.Events == nil {
		opts.Events = unheard{}
	}
	if opts.Observer == nil {
		opts.Observer = unheard{}
	}
	return nil
}

// unheard is where nobody listens.
type unheard struct{}

func (unheard) Add(api.Event)                             {}
func (unheard) Moved(string)                              {}
func (unheard) MoveStepped(string, string, time.Duration) {}
func (unheard) MoveSilent(time.Duration)                  {}
func (unheard) MoveCopied(string, int64)                  {}
