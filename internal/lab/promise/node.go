//go:build linux

package promise

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/nicferry/nicferry/internal/invariant"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/nic"
)

// look shows the interfaces in all network namespaces of the node that a
// process or a mount keeps alive, and the containers that run.
func look(ctx context.Context, n *lab.Node) (invariant.Node, error) {
	node := invariant.Node{Running: map[string]bool{}}
	ids, err := n.Docker(ctx, "ps", "-q", "--no-trunc")
	if err != nil { // the engine may be down on purpose
		node.Running = nil
	}
	for _, id := range strings.Fields(ids) {
		node.Running[id] = true
	}
	own, err := n.Run(ctx, "readlink", "/proc/self/ns/net")
	if err != nil {
		return node, fmt.Errorf("look at the node's namespaces: %w", err)
	}
	out, err := n.Run(ctx, "lsns", "--json", "--type", "net", "--output", "NS,PID,NSFS")
	if err != nil {
		return node, fmt.Errorf("look at the node's namespaces: %w", err)
	}
	var list struct {
		Namespaces []struct {
			NS, PID json.Number
			NSFS    string
		}
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return node, fmt.Errorf("look at the node's namespaces: %w", err)
	}
	for _, ns := range list.Namespaces {
		where, enter := ns.NS.String(), []string{"--net=" + ns.NSFS}
		if pid, err := strconv.Atoi(ns.PID.String()); err == nil && pid > 0 {
			enter = []string{"--target", ns.PID.String(), "--net"}
		}
		if strings.Contains(own, where) {
			where = ""
		}
		text, err := n.Run(ctx, "nsenter", append(enter, "ip", "-d", "-j", "link")...)
		if err != nil {
			continue // it has gone meanwhile
		}
		found, err := parse(where, text)
		if err != nil {
			return node, fmt.Errorf("look at the interfaces of namespace %s: %w", ns.NS, err)
		}
		node.Links = append(node.Links, found...)
	}
	return node, nil
}

func parse(where, text string) ([]invariant.Link, error) {
	var all []struct {
		Name    string `json:"ifname"`
		Address string `json:"address"`
		Info    struct {
			Kind string `json:"info_kind"`
		} `json:"linkinfo"`
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, err
	}
	var found []invariant.Link
	for _, l := range all {
		if mac, err := nic.ParseMAC(l.Address); err == nil {
			found = append(found, invariant.Link{Namespace: where, Name: l.Name, MAC: mac, Kind: l.Info.Kind})
		}
	}
	return found, nil
}
