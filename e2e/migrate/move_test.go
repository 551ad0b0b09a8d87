//go:build linux

package migrate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/migrate/migratetest"
	"github.com/nicferry/nicferry/nic"
)

// call asks the controller, and reads its answer into out.
func (r *rig) call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://controller"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.calls.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(text, out)
}

// move begins a move of the scene's container; it goes on by itself.
func (s *scene) move(request nic.MoveRequest) nic.MoveID {
	s.t.Helper()
	request.Container = s.name
	var m nic.Move
	s.do(s.call(s.t.Context(), http.MethodPost, "/v1/moves", request, &m))
	return m.ID
}

// follow calls seen with each state of the move that is seen, until it says that it
// is enough, whether the controller is there all the time or not.
func (r *rig) follow(ctx context.Context, id nic.MoveID, seen func(nic.Move) (enough bool)) error {
	var last nic.Move
	var after uint64
	for {
		var view api.MoveView
		if err := r.get(ctx, fmt.Sprintf("/v1/moves/%s?after=%d", id, after), &view); err == nil {
			after, last = view.Revision, view.Move
			if seen(view.Move) {
				return nil
			}
			continue
		}
		if err := retry.Sleep(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("follow %s: %w; at last it was %s", id, err, migratetest.Tell(last))
		}
	}
}
