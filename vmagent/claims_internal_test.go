package vmagent

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/nicferry/nicferry/vmagent/containers"
)

func TestNearTo(t *testing.T) {
	t.Parallel()
	two := map[int]string{0: "0-3", 1: "4-7"}
	for name, c := range map[string]struct {
		bound string
		nodes map[int]string
		err   error
		want  int // -1 is none
	}{
		"one node's":           {"4,6-7", two, nil, 1},
		"most of one node's":   {"0-2,4", two, nil, 0},
		"as many of two":       {"3-4", two, nil, -1},
		"to none":              {"", two, nil, -1},
		"there is one node":    {"0", map[int]string{0: "0-7"}, nil, -1},
		"what nobody can read": {"all", two, nil, -1},
		"no answer":            {"0", nil, errors.New("no sysfs"), -1},
	} {
		a := &Agent{opts: Options{Log: slog.New(slog.DiscardHandler), Processors: func() (map[int]string, error) { return c.nodes, c.err }}}
		got := -1
		if near := a.nearTo(containers.Container{Processors: c.bound}); near != nil {
			got = *near
		}
		if got != c.want {
			t.Errorf("%s: near to %d; want %d", name, got, c.want)
		}
	}
	if near := (&Agent{}).nearTo(containers.Container{Processors: "0"}); near != nil {
		t.Errorf("without a machine to ask: near to %d", *near)
	}
}
