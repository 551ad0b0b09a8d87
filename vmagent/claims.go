package vmagent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov"
	"github.com/nicferry/nicferry/vmagent/containers"
)

// acquire asks for a claim for each interface that the container's labels ask for
// and that has no NIC yet, or whose claim has an older name of the container.
func (a *Agent) acquire(ctx context.Context, c containers.Container, wishes []nic.Wanted) error {
	var errs []error
	for _, req := range nic.Requests(c.Labels, c.ImageLabels) {
		served := slices.ContainsFunc(wishes, func(w nic.Wanted) bool {
			return w.NIC != "" && !w.Gone && w.Owner.Interface == req.Interface && w.Container == c.Name
		})
		if served {
			continue
		}
		req.Unstarted, req.NUMA = c.Unstarted, a.nearTo(c)
		refuseDockers(c, &req)
		owner := nic.Owner{Node: a.opts.Node, Kind: nic.OwnerContainer, Sandbox: c.ID, Interface: req.Interface}
		claim, err := a.opts.Controller.Acquire(ctx, owner, c.Name, req)
		if err != nil {
			errs = append(errs, fmt.Errorf("acquire a NIC for %s of container %s: %w", req.Interface, c.Name, err))
			continue
		}
		if why, news := a.refused.news(claim); news {
			log := a.opts.Log.With("claim", claim.ID, "container", c.Name, "interface", req.Interface, "reason", why.Reason, "message", why.Message)
			if why.Reason == nic.ReasonMoved {
				log.Warn("container has moved to another node, and gets no NIC here any more")
			} else {
				log.Warn("claim refused")
			}
		}
	}
	return errors.Join(errs...)
}

// nearTo is the NUMA node of the processors that the container is bound to; nil where
// it is bound to none, or to as many of two. It makes a claim no worse not to know.
func (a *Agent) nearTo(c containers.Container) *int {
	if c.Processors == "" || a.opts.Processors == nil {
		return nil
	}
	nodes, err := a.opts.Processors()
	node := sriov.None
	if err == nil {
		node, err = sriov.NUMAOf(c.Processors, nodes)
	}
	if err != nil {
		a.opts.Log.Debug("processors of a container not told from each other", "container", c.Name, "err", err)
	}
	if err != nil || node == sriov.None || len(nodes) < 2 {
		return nil
	}
	return &node
}

// refuseDockers notes in the request what Docker's own network of the container
// rules out, so that nothing is made for it.
func refuseDockers(c containers.Container, req *nic.Request) {
	switch {
	case c.SharesNetwork():
		req.Faults.Add(nic.LabelPrefix+"*", "the container runs with --network %s and has no network namespace of its own; start it with --network none", c.NetworkMode)
	case c.DockerNames(req.Interface):
		req.Faults.Add(nic.LabelPrefix+"*", "%s is Docker's own interface in the container (Docker network %s); start it with --network none, or ask for another name with a label such as %seth%d=network=%s",
			req.Interface, strings.Join(c.DockerNetworks, ", "), nic.LabelNIC, len(c.DockerNetworks), cmp.Or(req.Network, "NAME"))
	}
}

// release gives back the claims of a container that is gone.
func (a *Agent) release(ctx context.Context, wishes []nic.Wanted) error {
	var errs []error
	for _, w := range wishes {
		if w.Claim == "" || w.Gone {
			continue
		}
		if err := a.opts.Controller.Release(ctx, w.Claim, w.Epoch); err != nil {
			errs = append(errs, fmt.Errorf("release claim %s: %w", w.Claim, err))
			continue
		}
		a.refused.forget(w.Claim)
	}
	return errors.Join(errs...)
}
