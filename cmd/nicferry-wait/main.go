//go:build linux

// Command nicferry-wait waits, as the first process of a container, until the
// container's network interfaces are configured, and then becomes the program
// that its arguments name.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes, those of timeout(1) and of shells.
const (
	exitOK            = 0
	exitUsage         = 2
	exitTimeout       = 124
	exitNotExecutable = 126
	exitNotFound      = 127
	exitSignal        = 128 // and the signal's number
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns only if the command was not started.
func run(args []string, stdout, stderr io.Writer) int {
	opts, err := parse(args)
	if errors.Is(err, errHelp) {
		fmt.Fprint(stdout, usage)
		return exitOK
	}
	say := func(err error, code int) int {
		fmt.Fprintln(stderr, "nicferry-wait:", err)
		return code
	}
	if err != nil {
		return say(fmt.Errorf("%w (see nicferry-wait --help)", err), exitUsage)
	}
	path, err := find(opts.command[0], searchPath())
	if err != nil {
		return say(err, code(err))
	}
	// The first process of a container gets no signal that it has no handler for.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	ctx, cancel := context.Background(), func() {}
	if opts.timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, opts.timeout)
	}
	defer cancel()
	if err := wait(ctx, opts, signals); err != nil {
		return say(err, code(err))
	}
	// From here a signal ends the process by itself, so that none is lost on
	// the way into the command; one that came before is still in the channel.
	signal.Reset()
	select {
	case s := <-signals:
		return say(signalError{s}, code(signalError{s}))
	default:
	}
	err = execute(path, opts.command)
	return say(err, code(err))
}

// code is the exit code for an error.
func code(err error) int {
	if s, ok := errors.AsType[signalError](err); ok {
		if number, ok := s.Signal.(syscall.Signal); ok {
			return exitSignal + int(number)
		}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return exitTimeout
	case errors.Is(err, os.ErrNotExist):
		return exitNotFound
	}
	return exitNotExecutable
}

// A signalError says which signal ended the waiting.
type signalError struct{ os.Signal }

func (e signalError) Error() string { return "ended while waiting: " + e.Signal.String() }
