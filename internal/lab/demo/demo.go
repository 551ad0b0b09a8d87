//go:build linux

// Package demo shows nicferry's main job from end to end on one machine, each
// step with its time, and proves that nothing is left behind.
package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/story"
)

// Run shows everything, cleans up whatever happens, and returns nil only if
// every step did what it promises and nothing was left.
func Run(ctx context.Context, opts story.Options) error {
	s := &show{Story: story.New(opts)}
	return s.Run(ctx, s.tell)
}

// tell runs the scenes between two looks at the machine.
func (s *show) tell(ctx context.Context) error {
	before, err := lab.Machine(ctx, "")
	if err != nil {
		return err
	}
	if err := s.onNode(ctx); err != nil {
		return err
	}
	// Every process of the node names the node's directory.
	after, err := lab.Machine(ctx, s.node.Dir())
	if err != nil {
		return err
	}
	return s.nothingLeft("the machine", lab.Diff(before, after))
}

func (s *show) onNode(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, s.tearDown()) }()
	err = s.Play(ctx,
		story.Scene{What: "start a private dockerd and make an image of busybox", Play: s.startNode},
		story.Scene{What: "make a LAN with a router and a real dnsmasq", Play: s.makeLAN})
	if err != nil {
		return err
	}
	before, err := s.node.Snapshot(ctx)
	if err != nil {
		return err
	}
	if err := s.Play(ctx, s.scenes()...); err != nil {
		if ctx.Err() != nil {
			return story.Interrupted(ctx)
		}
		return errors.Join(err, s.logs())
	}
	if s.Plant {
		leak := story.Leak()
		if _, err := s.node.Run(ctx, leak[0], leak[1:]...); err != nil {
			return err
		}
	}
	if err := s.promises(ctx); err != nil {
		return err
	}
	fmt.Fprintln(s.Out, "          ✓ what must always hold of records, providers and nodes does, with containers and without")
	left, err := s.node.Leftovers(ctx, before, 5*time.Second)
	if err != nil {
		return err
	}
	return s.nothingLeft("the node", left)
}

// scenes are the lines of the story, in order.
func (s *show) scenes() []story.Scene {
	return []story.Scene{
		{What: "start nicferryd and nicferry-agent", Play: s.startDaemons},
		{What: "docker run --network none --label nicferry.network=lab … web", Play: s.byDHCP},
		{What: "docker run … --label nicferry.network=fixed --label nicferry.ip=10.77.1.20,fd77::20 … db", Play: s.byLabel},
		{What: "docker run … --label nicferry.ip=10.77.1.20 … thief", Play: s.refused},
		{What: "docker restart web", Play: s.restart},
		{What: "kill -9 nicferry-agent and start it again, under ping -i 0.01", Play: s.killAgent},
		{What: "kill -9 nicferryd and start it again, under ping -i 0.01", Play: s.killController},
		{What: "docker rm -f web db thief", Play: s.remove},
		{What: "stop nicferryd and nicferry-agent", Play: s.stopDaemons},
	}
}

func (s *show) nothingLeft(where string, left []string) error {
	return s.NothingLeft(where, "links, addresses, routes, rules, bridge entries, namespaces, processes, containers", left)
}
