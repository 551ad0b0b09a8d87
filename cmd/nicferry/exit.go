package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

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

// asFlags puts what the controller finds wrong with a request in the words of the
// command line, by the flag of each field of the request. Other errors stay.
func asFlags(err error, flags map[string]string) error {
	said, ok := errors.AsType[*api.Error](err)
	if !ok || said.Code != api.CodeInvalid || len(said.Faults) == 0 {
		return err
	}
	var lines []string
	for _, fault := range said.Faults {
		field, _, _ := strings.Cut(fault.Field, "[")
		flag, ok := flags[field]
		if !ok {
			return err
		}
		lines = append(lines, flag+": "+oneLine(fault.Problem))
	}
	return usageError(strings.Join(lines, "\n"))
}

// exitCode says how a run that ended with err ends the program. ctx is the
// program's, which ends only by a signal.
func (a *app) exitCode(ctx context.Context, err error) int {
	_, usage := errors.AsType[usageError](err)
	docker, ran := errors.AsType[*dockerError](err)
	switch {
	case ran:
		return docker.code
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
