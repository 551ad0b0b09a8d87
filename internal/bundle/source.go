package bundle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// A Source writes one item.
type Source = func(ctx context.Context, w io.Writer) error

// File is a file's text. Only regular files are read: nothing is waited for.
func File(path string) Source {
	return func(_ context.Context, w io.Writer) error {
		f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			return errors.Join(err, fmt.Errorf("%s is no regular file", path))
		}
		_, err = io.Copy(w, io.LimitReader(f, maxTotal))
		return err
	}
}

// Command is what a program prints; what it says on stderr is its error.
func Command(name string, args ...string) Source {
	return func(ctx context.Context, w io.Writer) error {
		cmd := exec.CommandContext(ctx, name, args...)
		said := &capped{limit: 500}
		cmd.Stdout, cmd.Stderr = w, said
		cmd.WaitDelay = 500 * time.Millisecond
		// Killed with all that it started.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		err := cmd.Run()
		words, _ := said.take()
		switch {
		case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s is not on this machine", name)
		case err != nil:
			return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(words)))
		}
		return nil
	}
}

// Get is the answer to a GET of http://HOST/…; with a socket, that of the daemon
// there. Only an answer 200 counts.
func Get(socket, url string) Source {
	return func(ctx context.Context, w io.Writer) error {
		transport := &http.Transport{DisableKeepAlives: true, Proxy: nil}
		if socket != "" {
			transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", socket)
			}
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		resp, err := (&http.Client{Transport: transport, CheckRedirect: noRedirect}).Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("the answer is %s", resp.Status)
		}
		_, err = io.Copy(w, io.LimitReader(resp.Body, maxTotal))
		return err
	}
}

// Value is what f returns, as JSON.
func Value[T any](f func(ctx context.Context) (T, error)) Source {
	return func(ctx context.Context, w io.Writer) error {
		v, err := f(ctx)
		if err != nil {
			return err
		}
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(v)
	}
}
