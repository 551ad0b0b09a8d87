package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/nicferry/nicferry/internal/api/server"
)

// serveAt serves a controller until the test ends, and says at what address.
func serveAt(t *testing.T, o server.Options) (address string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "nicferry") // shorter than the test's, as sockets must be
	if err != nil {
		t.Fatal(err)
	}
	o.Log = slog.New(slog.DiscardHandler)
	ln, err := server.Listen(filepath.Join(dir, "s"), "", o.Log)
	if err != nil {
		t.Fatal(err)
	}
	handler := server.New(o)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Run(ctx, ln, handler, o.Log) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-served, os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return "unix://" + ln.Addr().String()
}
