//go:build linux

package lab

import (
	"encoding/json"
	"fmt"

	"github.com/nicferry/nicferry/nic"
)

// SessionIn reads in the CLI's list of nodes, as JSON, the number of the named
// node's last agent, and whether that one reports. A node that is not in it has
// had no agent.
func SessionIn(list, name string) (number uint64, ready bool, err error) {
	var nodes struct{ Items []nic.Node }
	if err := json.Unmarshal([]byte(list), &nodes); err != nil {
		return 0, false, fmt.Errorf("read the list of nodes: %w", err)
	}
	for _, n := range nodes.Items {
		if n.Name == name {
			return n.Session, n.Phase == nic.NodeReady, nil
		}
	}
	return 0, false, nil
}
