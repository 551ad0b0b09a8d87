//go:build linux

package containers

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"unicode"

	"github.com/docker/docker/api/types/container"
)

// secrets are words of a container's configuration that no error may show.
type secrets []string

// The lengths of a word from which on it is hidden: a shorter one is part of too many
// others. Those of a script are mostly no secrets.
const (
	shortest       = 4
	shortestInside = 6
)

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
			args = args[1:] // the program's name says what is wrong
		}
		if c.Healthcheck != nil && len(c.Healthcheck.Test) > 1 {
			args = slices.Concat(args, c.Healthcheck.Test[1:])
		}
		for _, arg := range args {
			add(arg)
			for _, word := range strings.FieldsFunc(arg, between) {
				if len(word) >= shortestInside {
					add(word)
				}
			}
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

// between says what is between two words of a script, or of an option with a value.
func between(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`=;"'`+"`", r) }

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
