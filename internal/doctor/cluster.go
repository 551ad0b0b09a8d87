package doctor

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// askOwn asks the controller of this machine, by its socket, and tells where
// that cannot be.
func (v *visit) askOwn(ctx context.Context, path string, out any) bool {
	if v.controller == nil {
		v.warn("nicferry config check "+v.ControllerConfig, "not asked: the config does not say where the controller is")
		return false
	}
	a, err := v.ask(ctx, way{name: "nicferryd", socket: v.controller.Socket}, path, out)
	switch {
	case errors.Is(err, errNobody):
		v.warn("systemctl start nicferryd", "not asked: nobody answers at %s", v.controller.Socket)
	case err != nil:
		v.warn("journalctl -u nicferryd", "not asked: %s", short(err))
	case a.status != http.StatusOK:
		v.warn("journalctl -u nicferryd", "not known: the controller answers with %d", a.status)
	default:
		return true
	}
	return false
}

// checkStatus asks the controller what keeps it from its work.
func checkStatus(ctx context.Context, v *visit) {
	var s api.Status
	if !v.askOwn(ctx, "/v1/status", &s) {
		return
	}
	v.checkVersions(s.Version.Version, v.Version, "this program")
	for _, c := range s.Conditions {
		v.warn("nicferry status; journalctl -u nicferryd", "%s for %s: %s", c.Reason, v.Now().Sub(c.Since).Round(time.Second), c.Message)
	}
	if v.quiet() {
		v.ok("nicferryd %s says that all is well", s.Version.Version)
	}
}

// checkNodes asks the controller which nodes it does not hear of.
func checkNodes(ctx context.Context, v *visit) {
	var page api.List[nic.Node]
	if !v.askOwn(ctx, "/v1/nodes", &page) {
		return
	}
	for _, n := range page.Items {
		switch n.Phase {
		case nic.NodeSilent:
			v.warn("there: systemctl status nicferry-agent; if the machine is gone for good: nicferry node forget "+n.Name+" --yes",
				"node %s has been silent for %s", n.Name, v.Now().Sub(n.LastSeen).Round(time.Second))
		case nic.NodeLost:
			v.warn("nicferry describe nodes "+n.Name, "node %s was given up, and its NICs are being taken back", n.Name)
		case nic.NodeReady:
			v.checkVersions(v.Version, n.Inventory.AgentVersion, "the agent of "+n.Name)
		}
	}
	switch {
	case !v.quiet():
	case page.Next != "":
		v.ok("the first %d nodes report", len(page.Items))
	default:
		v.ok("%d nodes report", len(page.Items))
	}
}
