//go:build linux

package soak

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
)

const plantFDs, plantNetns = "fds", "netns"

// planted is what has been left behind on purpose.
type planted struct {
	watches []net.Conn
	spaces  []string
}

// eachTime is how many are planted in a round.
const eachTime = 6

// plant leaves behind what was asked for.
func (r *run) plant(ctx context.Context, round int) error {
	for i := range eachTime {
		if slices.Contains(r.Plant, plantNetns) {
			name := fmt.Sprintf("planted%d-%d", round, i)
			if _, err := r.vm.Machine.Run(ctx, "ip", "netns", "add", name); err != nil {
				return err
			}
			r.planted.spaces = append(r.planted.spaces, name)
		}
		if slices.Contains(r.Plant, plantFDs) {
			conn, err := new(net.Dialer).DialContext(ctx, "unix", r.fleet.File("nicferryd.sock"))
			if err != nil {
				return err
			}
			r.planted.watches = append(r.planted.watches, conn)
			// A stream of events is open as long as somebody reads it.
			if _, err := fmt.Fprintf(conn, "GET /v1/nodes/%s/watch HTTP/1.1\r\nHost: controller\r\n\r\n", r.vm.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// unplant takes away what would be told once more at the end.
func (r *run) unplant(ctx context.Context) error {
	if len(r.planted.spaces) > 0 {
		if _, err := r.vm.Machine.Run(ctx, "sh", "-ec", "for n in "+strings.Join(r.planted.spaces, " ")+"; do ip netns delete $n; done"); err != nil {
			return err
		}
	}
	r.planted.close()
	return nil
}

func (p *planted) close() {
	for _, conn := range p.watches {
		conn.Close()
	}
	p.watches = nil
}
