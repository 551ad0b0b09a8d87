//go:build linux

package promise

import (
	"context"
	"fmt"
	"strings"

	"github.com/nicferry/nicferry/internal/invariant"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/libvirt"
)

// onlyNode stands for a node whose name its agent knows.
const onlyNode = "node"

// machines are the nodes that are looked at, by name.
func (o Options) machines() map[string]machine {
	if o.Node != nil {
		return map[string]machine{onlyNode: {run: o.Node.Run, docker: o.Node.Docker}}
	}
	all := map[string]machine{}
	for name, n := range o.Nodes {
		all[name] = machine{run: n.Run, docker: n.Docker}
	}
	if o.Cluster == nil {
		return all
	}
	for _, n := range o.Cluster.Nodes() {
		run := func(ctx context.Context, name string, args ...string) (string, error) {
			out, err := n.Command(ctx, append([]string{name}, args...)...).Output()
			return string(out), err
		}
		all[n.Name] = machine{run: run, docker: n.Docker}
	}
	return all
}

// hypervisor is the provider of the cluster's NICs, on the cluster's connection.
// It must not be closed.
func (o Options) hypervisor(name string, ledger provider.Ledger) (provider.Provider, error) {
	return libvirt.New(libvirt.Options{
		Name: name, Ledger: ledger,
		Open: func(context.Context) (libvirt.Hypervisor, error) { return o.Cluster.Virt(), nil },
	})
}

// Strangers are the NICs in the definitions of the cluster's guests that are not
// ours, to be held against what they are later.
func Strangers(ctx context.Context, c *cluster.Cluster) (map[string]string, error) {
	all := map[string]string{}
	for _, n := range c.Nodes() {
		d, err := c.Virt().Domain(ctx, n.Name)
		if err != nil {
			return nil, fmt.Errorf("look at what is not ours in %s: %w", n.Name, err)
		}
		for where, cards := range map[string][]virt.Interface{"live": d.Live, "stored": d.Stored} {
			for _, i := range cards {
				if !strings.HasPrefix(i.Alias, libvirt.AliasPrefix) {
					all[fmt.Sprintf("%s, %s, MAC %s", n.Name, where, i.MAC)] = fmt.Sprintf("on %s at %s", i.Port, i.Address)
				}
			}
		}
	}
	return all, nil
}

// strangers compares what is not ours with what it was, if that is known.
func (o Options) strangers(ctx context.Context) (invariant.Strangers, error) {
	if o.Cluster == nil || o.Strangers == nil {
		return invariant.Strangers{}, nil
	}
	now, err := Strangers(ctx, o.Cluster)
	return invariant.Strangers{NICs: o.Strangers, NICsNow: now}, err
}
