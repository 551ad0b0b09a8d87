// Command nicferry is for people: it shows what the controller has, and has it
// move containers and let machines in and out.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nicferry/nicferry/internal/daemon"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{out: os.Stdout, err: os.Stderr, getenv: os.Getenv, now: time.Now}
	a.live = daemon.IsTerminal(os.Stderr) && os.Getenv("TERM") != "dumb"
	os.Exit(a.run(ctx, os.Args[1:]))
}
