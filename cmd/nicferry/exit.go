package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/conf"
)

// The exit codes, which scripts rely on.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitRefused     = 4
	exitTimedOut    = 5
	exitInterrupted = 130 // what a shell says of a program that Ctrl-C ended
)

// usageError is a command line that makes no sense.
type usageError string

func (e usageError) Error() string { return string(e) }

func usagef(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

// isFaults says whether err is what is wrong with a config file.
func isFaults(err error) bool { return len(conf.AsFaults(err)) > 0 }

// exitCode says how a run that ended with err ends the program. ctx is the
// program's, which ends only by a signal.
func (a *app) exitCode(ctx context.Context, err error) int {
	_, usage := errors.AsType[usageError](err)
	switch {
	case usage || !a.started || isFaults(err):
		return exitUsage
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.Is(err, context.DeadlineExceeded):
		return exitTimedOut
	case api.IsNotFound(err):
		return exitNotFound
	case api.IsRefused(err):
		return exitRefused
	}
	return exitFailed
}
