package server

import (
	"context"
	"fmt"
	"net/http"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

type helloInput struct {
	Name string `path:"name"`
	Body nic.Inventory
}

type reportInput struct {
	Name string `path:"name"`
	Body nic.NodeReport
}

// wantedInput asks for a node's wanted state.
type wantedInput struct {
	Name    string `path:"name"`
	Session uint64 `query:"session" doc:"The asking agent's session; 0 is somebody who only looks."`
}

func (s *server) nodeRoutes() {
	list := s.operation("list-nodes", http.MethodGet, "/v1/nodes", "List nodes by name")
	serve(s, list, func(ctx context.Context, _ *none) (api.List[api.NodeView], error) {
		nodes, err := s.listedNodes(ctx)
		return api.NewList(nodes, ""), err
	})

	get := s.operation("get-node", http.MethodGet, "/v1/nodes/{name}", "Show a node")
	serve(s, get, func(ctx context.Context, in *nameInput) (api.NodeView, error) {
		if err := checkName("node", in.Name); err != nil {
			return api.NodeView{}, err
		}
		return s.nodeView(ctx, in.Name)
	})

	room := s.operation("node-room", http.MethodGet, "/v1/nodes/{name}/room", "Say what providers have room for on a node")
	serve(s, room, func(ctx context.Context, in *nameInput) (api.List[api.NodeRoom], error) {
		if err := checkName("node", in.Name); err != nil {
			return api.List[api.NodeRoom]{}, err
		}
		rooms, err := s.Backend.NodeRoom(ctx, in.Name)
		return api.NewList(rooms, ""), err
	})

	hello := s.operation("hello", http.MethodPut, "/v1/nodes/{name}/hello", "Say that a node's agent has started, and get its session number")
	serve(s, hello, func(ctx context.Context, in *helloInput) (nic.Node, error) {
		if err := nic.CheckName("node", in.Name); err != nil {
			return nic.Node{}, nic.Faults{{Field: "path.name", Problem: err.Error()}}
		}
		if err := checkInventory(in.Body); err != nil {
			return nic.Node{}, err
		}
		return s.Backend.Hello(api.WithJoin(ctx, peerOf(ctx).Join), in.Name, in.Body)
	})

	report := s.operation("report", http.MethodPost, "/v1/nodes/{name}/report", "Say what has changed on a node")
	report.MaxBodyBytes = maxReport
	serveEmpty(s, report, func(ctx context.Context, in *reportInput) error {
		if err := checkName("node", in.Name); err != nil {
			return err
		}
		if in.Body.Cards != nil {
			var faults nic.Faults
			checkCards(&faults, *in.Body.Cards)
			if err := faults.Err(); err != nil {
				return err
			}
		}
		return s.Backend.Report(ctx, in.Name, in.Body)
	})

	wanted := s.operation("wanted", http.MethodGet, "/v1/nodes/{name}/wanted", "List all that is wanted of a node")
	serve(s, wanted, func(ctx context.Context, in *wantedInput) (api.WantedList, error) {
		if err := checkName("node", in.Name); err != nil {
			return api.WantedList{}, err
		}
		items, revision, err := s.Backend.Wanted(ctx, in.Name, in.Session)
		if items == nil {
			items = []nic.Wanted{}
		}
		return api.WantedList{Revision: revision, Items: items}, err
	})
}

// maxInventory bounds one text of an inventory, in bytes.
const maxInventory = 256

// maxVFs bounds a node's VFs: they are stored in its one record.
const maxVFs = 2048

// checkInventory bounds what is stored of a node's own words.
func checkInventory(v nic.Inventory) error {
	var faults nic.Faults
	for _, text := range []struct{ field, value string }{
		{"boot", v.Boot}, {"kernel", v.Kernel}, {"docker", v.Docker}, {"agentVersion", v.AgentVersion},
	} {
		if len(text.value) > maxInventory {
			faults.Add("body."+text.field, "%d bytes, at most %d", len(text.value), maxInventory)
		}
	}
	checkCards(&faults, v.Cards)
	return faults.Err()
}

// checkCards tells what cannot be of a node's cards: VFs are given out by it. Their
// PCI addresses become part of paths on the node.
func checkCards(faults *nic.Faults, cards []nic.Card) {
	seen, vfs := map[string]bool{}, 0
	address := func(field, pci string) {
		faults.AddErr(field, nic.CheckPCI(pci))
		if seen[pci] {
			faults.Add(field, "PCI address %.40q twice", pci)
		}
		seen[pci] = true
	}
	for i, card := range cards {
		at := fmt.Sprintf("body.cards[%d]", i)
		if vfs += len(card.VFs); vfs > maxVFs {
			faults.Add(at+".vfs", "more than %d VFs on one node", maxVFs)
			return
		}
		address(at+".pci", card.PCI)
		for j, vf := range card.VFs {
			at := fmt.Sprintf("%s.vfs[%d]", at, j)
			address(at+".pci", vf.PCI)
			if vf.Index < 0 {
				faults.Add(at+".index", "%d: below 0", vf.Index)
			}
		}
	}
}
