package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
)

// PlanMove says what a move would do. What stands against it is in the plan. It
// takes seconds: both nodes are asked.
func (c *Client) PlanMove(ctx context.Context, request nic.MoveRequest) (nic.MovePlan, error) {
	var out nic.MovePlan
	err := c.do(ctx, http.MethodPost, "/v1/moves/plan", request, &out)
	return out, err
}

// BeginMove moves a container, or its NICs alone; the move goes on whether
// somebody looks or not. What stands against it is in the api.Error's Refusals.
func (c *Client) BeginMove(ctx context.Context, request nic.MoveRequest) (nic.Move, error) {
	var out nic.Move
	err := c.do(ctx, http.MethodPost, "/v1/moves", request, &out)
	return out, err
}

// Moves returns those under way and the last that have ended, oldest first.
func (c *Client) Moves(ctx context.Context) ([]nic.Move, error) {
	return all[nic.Move](ctx, c, "/v1/moves")
}

// Move returns one; no such move: not found.
func (c *Client) Move(ctx context.Context, id nic.MoveID) (api.MoveView, error) {
	return one[api.MoveView](ctx, c, "/v1/moves/", string(id))
}

// AwaitMove returns a move once it has another revision than after, or as it is
// after some seconds.
func (c *Client) AwaitMove(ctx context.Context, id nic.MoveID, after uint64) (api.MoveView, error) {
	var out api.MoveView
	err := c.get(ctx, movePath(id)+"?after="+strconv.FormatUint(after, 10), &out)
	return out, err
}

// A MoveReader hears how a move goes, from one goroutine, which it holds up.
type MoveReader struct {
	// Changed is told how the move is, at once and whenever that changes, and says
	// whether to go on. Required.
	Changed func(api.MoveView) (goOn bool)
	// Broke says why the controller does not answer, once, and Again that it does.
	// Optional.
	Broke func(error)
	Again func()
}

// FollowMove tells how a move goes, through restarts of the controller, until the
// reader has enough. It returns ctx's error when that ends, or the controller's
// if this cannot go on.
func (c *Client) FollowMove(ctx context.Context, id nic.MoveID, r MoveReader) error {
	backoff := retry.Backoff{First: 100 * time.Millisecond, Max: 5 * time.Second}
	known, broken := uint64(0), false
	for {
		v, err := c.AwaitMove(ctx, id, known)
		switch code := api.CodeOf(err); {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
		case code == "" && !errors.Is(err, ErrUnreachable) && !errors.Is(err, context.DeadlineExceeded),
			code != "" && code != api.CodeUnavailable && code != api.CodeInternal:
			return err
		default:
			if !broken && r.Broke != nil {
				r.Broke(err)
			}
			broken = true
			if err := retry.Sleep(ctx, backoff.Next()); err != nil {
				return err
			}
			continue
		}
		backoff.Reset()
		if broken && r.Again != nil {
			r.Again()
		}
		broken = false
		if v.Revision != known && !r.Changed(v) {
			return nil
		}
		known = v.Revision
	}
}

// ResumeMove has a parked move go on.
func (c *Client) ResumeMove(ctx context.Context, id nic.MoveID) (nic.Move, error) {
	return c.orderMove(ctx, id, "resume")
}

// AbortMove has a move put everything back. One that is beyond its pivot: refused.
func (c *Client) AbortMove(ctx context.Context, id nic.MoveID) (nic.Move, error) {
	return c.orderMove(ctx, id, "abort")
}

func (c *Client) orderMove(ctx context.Context, id nic.MoveID, verb string) (nic.Move, error) {
	var out nic.Move
	err := c.do(ctx, http.MethodPost, movePath(id)+"/"+verb, nil, &out)
	return out, err
}

// DrainNode begins to move all containers with NICs off a node, or goes on with it.
func (c *Client) DrainNode(ctx context.Context, node string, request nic.DrainRequest) (nic.Drain, error) {
	var out nic.Drain
	err := c.do(ctx, http.MethodPost, nodePath(node)+"/drain", request, &out)
	return out, err
}

// UndrainNode begins no more moves off a node, and makes it a target again.
func (c *Client) UndrainNode(ctx context.Context, node string) (nic.Drain, error) {
	var out nic.Drain
	err := c.do(ctx, http.MethodPost, nodePath(node)+"/undrain", nil, &out)
	return out, err
}

// Drains returns those that nobody has taken back, by node.
func (c *Client) Drains(ctx context.Context) ([]nic.Drain, error) {
	return all[nic.Drain](ctx, c, "/v1/drains")
}

func movePath(id nic.MoveID) string { return "/v1/moves/" + url.PathEscape(string(id)) }
