package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/nicferry/nicferry/internal/mtls"
)

// readout is what a reader of a stream has got; it has no deadlines.
type readout struct{ *httptest.ResponseRecorder }

func (readout) SetWriteDeadline(time.Time) error { return nil }

// What goes wrong just when a sign of life is due is told, and not taken for quiet.
func TestAFailureAtAHeartbeatIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{Options: Options{Heartbeat: time.Second, Trust: noTrust{}, Log: slog.New(slog.DiscardHandler)}}
		w := readout{httptest.NewRecorder()}
		out := &stream{w: w, control: http.NewResponseController(w)}
		ctx := context.WithValue(t.Context(), peerKey{}, mtls.Peer{Role: mtls.Admin})
		first := true
		s.tell(ctx, out, huma.Operation{OperationID: "watch"}, func(ctx context.Context) (func() error, error) {
			<-ctx.Done()
			if first {
				first = false
				return nil, ctx.Err()
			}
			return nil, errors.New("out of memory")
		})
		if got := w.Body.String(); !strings.HasPrefix(got, ": still here\n\nevent: error\n") || strings.Count(got, "\n\n") != 2 {
			t.Errorf("told was %q", got)
		}
	})
}
