//go:build linux

package containers

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/lab/labtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(labtest.Inside(m)) }

func TestOpenRefusesWhatItCannotServe(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*about)
		want   string // in the error; empty if it opens
	}{
		"Docker of Debian 12": {func(*about) {}, ""},
		"oldest":              {func(a *about) { a.APIVersion = "1.40" }, ""},
		"of next decade":      {func(a *about) { a.APIVersion = "2.0" }, ""},
		"too old":             {func(a *about) { a.APIVersion = "1.39" }, "API 1.40 or newer"},
		"nonsense version":    {func(a *about) { a.APIVersion = "" }, "API 1.40 or newer"},
		"rootless":            {func(a *about) { a.Security = append(a.Security, "name=rootless") }, "run Docker as root"},
		"Docker Desktop":      {func(a *about) { a.OS = "Docker Desktop" }, "install Docker Engine"},
		"Windows containers":  {func(a *about) { a.OSType = "windows" }, "Linux containers"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			tt.change(&f.about_)
			_, err := open(t.Context(), f, Options{Socket: "/run/docker.sock"})
			if tt.want == "" && err != nil {
				t.Errorf("got %v, want none", err)
			}
			if tt.want != "" && (!errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want ErrUnsupported with %q", err, tt.want)
			}
		})
	}
}

func TestOpenWithoutAnEngine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	for name, socket := range map[string]string{
		"no socket":      filepath.Join(dir, "none.sock"),
		"nobody listens": stale,
	} {
		_, err := Open(t.Context(), Options{Socket: socket})
		if !errors.Is(err, ErrNoEngine) || !strings.Contains(err.Error(), socket) || !strings.Contains(err.Error(), "start Docker") {
			t.Errorf("%s: got %v; want ErrNoEngine with the path and what to do", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, Options{Socket: stale}); err == nil {
		t.Error("opened with an ended context")
	}
}

func TestGetTakesIDsOnly(t *testing.T) {
	t.Parallel()
	e := openFake(t, newFake(), Options{})
	for _, bad := range []string{"", "web", "../info", id(0) + "0", "-h"} {
		if _, err := e.Get(t.Context(), bad); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("%q: got %v, want a refusal", bad, err)
		}
	}
	if _, err := e.Get(t.Context(), id(7)); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}
