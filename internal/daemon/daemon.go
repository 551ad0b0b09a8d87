// Package daemon is what every daemon does around its work: its log, its
// signals and its exit code.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes, the same for all programs.
const (
	ExitOK     = 0
	ExitFailed = 1
	ExitUsage  = 2 // wrong flags, or a config file with faults
	// ExitRefused and ExitTimedOut are of commands that ask a controller.
	ExitRefused  = 4
	ExitTimedOut = 5
	// ExitReplaced: another process has taken over. A service manager must not
	// start this one again, or the two would replace each other for ever.
	ExitReplaced = 6
)

// A UsageError is the user's to mend: its text says how.
type UsageError struct{ Err error }

// Error is the cause's.
func (e UsageError) Error() string { return e.Err.Error() }

// Unwrap is the cause.
func (e UsageError) Unwrap() error { return e.Err }

// A ReplacedError means that another process does the work now.
type ReplacedError struct{ Err error }

// Error is the cause's.
func (e ReplacedError) Error() string { return e.Err.Error() }

// Unwrap is the cause.
func (e ReplacedError) Unwrap() error { return e.Err }

// A CodedError ends the program with an exit code of its own.
type CodedError struct {
	Code int
	Err  error
}

// Error is the cause's.
func (e CodedError) Error() string { return e.Err.Error() }

// Unwrap is the cause.
func (e CodedError) Unwrap() error { return e.Err }

// A StatusError ends the program with the exit code of another, which has said
// all there is to say.
type StatusError struct{ Code int }

// Error tells the code.
func (e StatusError) Error() string { return fmt.Sprintf("exit status %d", e.Code) }

// Run runs work until it ends or the process gets SIGINT or SIGTERM, and
// returns the exit code. A second signal ends the process at once. What went
// wrong is told on stderr, where people and journals look.
func Run(name string, stderr io.Writer, work func(context.Context) error) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // from here on a signal has its usual effect
	err := work(ctx)
	if err == nil {
		return ExitOK
	}
	if status, ok := errors.AsType[StatusError](err); ok {
		return status.Code
	}
	fmt.Fprintf(stderr, "%s: %v\n", name, err)
	if coded, ok := errors.AsType[CodedError](err); ok {
		return coded.Code
	}
	if _, ok := errors.AsType[UsageError](err); ok {
		return ExitUsage
	}
	if _, ok := errors.AsType[ReplacedError](err); ok {
		return ExitReplaced
	}
	return ExitFailed
}

// Logger makes the daemon's logger. The format is text, json, or auto: text on
// a terminal, else json, for the programs that read it there.
func Logger(w *os.File, level slog.Level, format string) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	if format == "text" || format == "auto" && IsTerminal(w) {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}

// IsTerminal says whether somebody may be looking.
func IsTerminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
