package client

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/nicferry/nicferry/internal/api"
)

// Watch calls changed with a revision each time that what is wanted of the
// node may have changed since the revision after. It reconnects by itself, from
// where it was, and returns only when ctx ends, with ctx's error, or when the
// controller says that this cannot go on, such as not found for a node that it
// does not know: say hello again. A revision may be lower than the one before,
// after the controller's store was restored. changed is called from one
// goroutine and holds up the watch while it runs.
func (c *Client) Watch(ctx context.Context, node string, after uint64, changed func(revision uint64)) error {
	return c.follow(ctx, following{
		what: "watch node " + node, broke: c.watched, again: func() { c.watched(nil) },
		attr: slog.String("node", node),
		path: func() string { return fmt.Sprintf("%s/watch?after=%d", nodePath(node), after) },
		deliver: func(event, data string) error {
			if event != "" {
				return nil
			}
			change, err := decodeEvent[api.Change](data)
			if err == nil {
				after = change.Revision
				changed(change.Revision)
			}
			return err
		},
	})
}
