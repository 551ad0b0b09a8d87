package vmagent

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// A refusing controller answers, and does not let the node in.
type refusing struct {
	Controller
	why error
}

func (r refusing) Hello(context.Context, string, nic.Inventory) (nic.Node, error) {
	return nic.Node{}, r.why
}

// The log tells a controller that says no from one that says nothing, and has what
// it says: the one is mended by a token, the other by a cable.
func TestS4_ARefusalIsNoSilence(t *testing.T) {
	t.Parallel()
	errRevoked := errors.New("node n1 was revoked")
	for why, want := range map[error]string{
		errAway:    "controller does not answer, containers keep their NICs",
		errRevoked: "controller refuses this node, containers keep their NICs",
	} {
		synctest.Test(t, func(t *testing.T) {
			var log strings.Builder
			a := &Agent{opts: Options{
				Node: "n1", Controller: refusing{why: why}, Log: slog.New(slog.NewTextHandler(&log, nil)),
				Refused: func(err error) bool { return errors.Is(err, errRevoked) },
			}}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if _, err := a.hello(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("it ended with %v", err)
			}
			for line := range strings.Lines(log.String()) {
				if !strings.Contains(line, want) || !strings.Contains(line, why.Error()) {
					t.Errorf("%v: the log says %s", why, line)
				}
			}
			if n := strings.Count(log.String(), "\n"); n < 6 || n > 20 {
				t.Errorf("%v: told %d times in a minute", why, n)
			}
		})
	}
}
