package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nicferry/nicferry/internal/daemon"
)

func TestRunTellsExitCodesApart(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
	}{
		{nil, daemon.ExitOK},
		{errors.New("disk full"), daemon.ExitFailed},
		{daemon.UsageError{Err: errors.New("a.yaml:3: bad")}, daemon.ExitUsage},
		{errors.Join(daemon.ReplacedError{Err: errors.New("another has started")}), daemon.ExitReplaced},
		{errors.Join(daemon.StatusError{Code: 37}), 37},
		{daemon.CodedError{Code: daemon.ExitRefused, Err: errors.New("no")}, 4},
	} {
		var stderr bytes.Buffer
		code := daemon.Run("nicferryd", &stderr, func(context.Context) error { return c.err })
		if code != c.code {
			t.Errorf("%v: exit code %d, want %d", c.err, code, c.code)
		}
		if _, quiet := errors.AsType[daemon.StatusError](c.err); quiet {
			c.err = nil
		}
		if c.err == nil && stderr.Len() > 0 {
			t.Errorf("told %q, want nothing", stderr.String())
		}
		if c.err != nil && stderr.String() != "nicferryd: "+c.err.Error()+"\n" {
			t.Errorf("%v: told %q", c.err, stderr.String())
		}
	}
}

func TestRunEndsWithSIGTERM(t *testing.T) {
	code := daemon.Run("nicferryd", os.Stderr, func(ctx context.Context) error {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
	if code != daemon.ExitOK {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestLoggerWritesJSONToAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	log := daemon.Logger(f, slog.LevelInfo, "auto")
	log.Debug("hidden")
	log.Info("shown", "nic", "nic-1")
	f.Close()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(got); strings.Contains(s, "hidden") || !strings.Contains(s, `"msg":"shown","nic":"nic-1"`) {
		t.Errorf("got %q, want one JSON line of level info", s)
	}
}
