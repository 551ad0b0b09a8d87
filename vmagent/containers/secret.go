//go:build linux

package containers

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
)

// secrets are words of a container's configuration that no error may show.
type secrets []string

// shortest is the length of a word from which on it is hidden: a shorter one is
// part of too many others.
const shortest = 4

// secretsOf are the values of its environment, what its log driver is told, such
// as a token, and the arguments of its commands.
func secretsOf(c *container.Config, h *container.HostConfig) secrets {
	var all secrets
	add := func(words ...string) {
		for _, w := range words {
			for line := range strings.Lines(w) {
				if line = strings.TrimSpace(line); len(line) >= shortest {
					all = append(all, line)
				}
			}
		}
	}
	if c != nil {
		for _, e := range c.Env {
			_, value, _ := strings.Cut(e, "=")
			add(value)
		}
		args := slices.Concat(c.Entrypoint, c.Cmd)
		if len(args) > 0 {
			add(args[1:]...) // the program's name says what is wrong
		}
		if c.Healthcheck != nil && len(c.Healthcheck.Test) > 1 {
			add(c.Healthcheck.Test[1:]...)
		}
	}
	if h != nil {
		for _, value := range h.LogConfig.Config {
			add(value)
		}
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return all
}

func (s secrets) in(text string) string {
	for _, word := range s {
		text = strings.ReplaceAll(text, word, "***")
	}
	return text
}

// hide returns an error that is of the same kinds and shows no secret.
func (s secrets) hide(err error) error {
	if err == nil {
		return nil
	}
	text := s.in(err.Error())
	if text == err.Error() {
		return err
	}
	return &hidden{text, err}
}

// hidden has no Unwrap, by which its cause could be shown.
type hidden struct {
	text  string
	cause error
}

// Error is the cause's, without secrets.
func (h *hidden) Error() string { return h.text }

// Is says of which kind the cause is.
func (h *hidden) Is(target error) bool { return errors.Is(h.cause, target) }
