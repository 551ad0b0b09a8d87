package server

import (
	"context"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// A Backend is what the API serves: the allocator. All methods may be called
// concurrently. Errors are told apart as errors.go says.
type Backend interface {
	Agents
	Reader
	Auditor
}

// Agents is what agents call. Every call may come again after a lost reply.
// The context says the caller's session, if it has one (api.SessionOf): whoever is
// not the node's newest gets a conflict, whatever it asks.
type Agents interface {
	// Acquire returns the claim of owner, and makes it at the first call. It
	// never waits: the claim's phase says how far it is. A request that
	// cannot be met is a refused claim, not an error.
	Acquire(ctx context.Context, owner nic.Owner, container string, request nic.Request) (nic.Claim, error)
	// Release gives a claim back. Gone or releasing already: nil. An older
	// epoch than the claim's: conflict.
	Release(ctx context.Context, id nic.ClaimID, epoch uint64) error
	// Hello says that a node's agent has started, and gives it a session
	// number higher than any before.
	Hello(ctx context.Context, node string, inventory nic.Inventory) (nic.Node, error)
	// Report takes what a node has seen. A session that is not the node's
	// newest: conflict. A node that never said hello: not found.
	Report(ctx context.Context, node string, report nic.NodeReport) error
	// Wanted returns all that is wanted of a node, and the revision to wait
	// from. An unknown node: not found. A session that is not the node's
	// newest: conflict; 0 is somebody who only looks.
	Wanted(ctx context.Context, node string, session uint64) ([]nic.Wanted, uint64, error)
	// WaitChange returns a revision as soon as the node's wanted state may
	// have changed since the revision after. A revision from the future (the
	// store was restored from a backup) returns at once with the present one.
	// When ctx ends it returns ctx's error.
	WaitChange(ctx context.Context, node string, after uint64) (uint64, error)
}

// Reader is what people look at. What does not exist is not found.
type Reader interface {
	// Claims returns up to limit claims whose ids sort after the id after.
	Claims(ctx context.Context, after nic.ClaimID, limit int) ([]api.ClaimView, error)
	Claim(ctx context.Context, id nic.ClaimID) (api.ClaimView, error)
	// NICs returns up to limit NICs whose ids sort after the id after.
	NICs(ctx context.Context, after nic.ID, limit int) ([]api.NICView, error)
	NIC(ctx context.Context, id nic.ID) (api.NICView, error)
	// Nodes returns all nodes, by name.
	Nodes(ctx context.Context) ([]nic.Node, error)
	Node(ctx context.Context, name string) (nic.Node, error)
	// Networks returns all networks, by name.
	Networks(ctx context.Context) ([]api.NetworkView, error)
	Network(ctx context.Context, name string) (api.NetworkView, error)
	// PlanNetwork says how many containers machines can hold on a network: each
	// node, or one of the type, if that is not empty. A type that there is not:
	// invalid.
	PlanNetwork(ctx context.Context, name, kind string) (api.NetworkPlan, error)
	// NodeRoom says what each provider has room for on a node.
	NodeRoom(ctx context.Context, node string) ([]api.NodeRoom, error)
}

// Auditor is what operators ask for when things are not as they should be.
type Auditor interface {
	// Audit compares store, providers and nodes, and begins to mend if asked. A
	// controller that does not lead refuses to mend.
	Audit(ctx context.Context, fix bool) (api.Audit, error)
	// ForgetNode gives up a node for good. One that reports: refused. An unknown
	// one: not found.
	ForgetNode(ctx context.Context, node string, dryRun bool) (api.Forgotten, error)
	// RevokeNode takes a node's trust away; seize gives up what providers can take
	// out by themselves. An unknown one: not found.
	RevokeNode(ctx context.Context, node string, seize, dryRun bool) (api.Revoked, error)
	// RemoveNode ends a node without claims. One that has some: refused. An unknown
	// one: not found.
	RemoveNode(ctx context.Context, node string, dryRun bool) (api.Forgotten, error)
	// Promote has a claim that fell back get a VF. One that has one, or for which none
	// is free: refused. An unknown one: not found.
	Promote(ctx context.Context, claim nic.ClaimID, dryRun bool) (api.Promotion, error)
	// Status says what keeps the controller from its work; none is well. It
	// answers within seconds, whatever does not answer it.
	Status(ctx context.Context) []nic.Condition
}
