package migrate

import (
	"context"

	"github.com/nicferry/nicferry/nic"
)

// Claims is what a move asks of the allocator. All claims of one move are
// changed together or not at all. Each method may be called again after a lost
// reply: what is so already is no error. A claim that is not in the move, or not
// any more, is ErrNotMoving of the allocator.
type Claims interface {
	// OfContainer lists the claims of a container by its name or its id, on the
	// node or, if that is empty, wherever it is: on several nodes is an error.
	OfContainer(ctx context.Context, node, container string) ([]nic.Claim, error)
	// OnNode lists the claims whose containers are on the node.
	OnNode(ctx context.Context, node string) ([]nic.Claim, error)
	// MoveRoom says how claims would get to a node, and what stands against it:
	// slots, quota, tenant, network, a node that is silent, lost or revoked.
	MoveRoom(ctx context.Context, ids []nic.ClaimID, to string) (nic.MoveRoom, error)
	// BeginMove fences the claims: they are moving, their epoch is one more, and
	// a slot and all else that they need on the node is theirs. target is the
	// name of the container that is to have them there.
	BeginMove(ctx context.Context, move nic.MoveID, ids []nic.ClaimID, to, target string) ([]nic.Claim, error)
	// AimMove says the id of the container that is to have the claims.
	AimMove(ctx context.Context, move nic.MoveID, ids []nic.ClaimID, sandbox string) error
	// BringNICs says on which of the two nodes the NICs are to be from now on.
	// They get there by themselves, whatever way they were on; it may be called
	// with the other node at any time before the pivot.
	BringNICs(ctx context.Context, move nic.MoveID, ids []nic.ClaimID, node string) error
	// Whereabouts says how far they are, in the order of ids.
	Whereabouts(ctx context.Context, ids []nic.ClaimID) ([]nic.Whereabouts, error)
	// AwaitNICs waits until they are as wanted; it looks whenever one may have
	// changed. The error says what they are at when ctx ends.
	AwaitNICs(ctx context.Context, ids []nic.ClaimID, as func([]nic.Whereabouts) bool) error
	// FinishMove makes the claims the target's: the pivot, one commit. From then
	// on the former owner gets none of its own until ForgetMoved.
	FinishMove(ctx context.Context, move nic.MoveID, ids []nic.ClaimID) error
	// CancelMove makes the claims again what they were.
	CancelMove(ctx context.Context, move nic.MoveID, ids []nic.ClaimID) error
	// ParkMove shows why a move can go neither way; "" shows that it goes on.
	ParkMove(ctx context.Context, move nic.MoveID, ids []nic.ClaimID, why string) error
	// ForgetMoved lets a container that has gave its claims away have some anew,
	// because it is gone or because it is to get them back.
	ForgetMoved(ctx context.Context, node, sandbox string) error
	// Dead says whether nothing can run on the node, and how that is known: its
	// machine is off, or an operator has given it up. No answer of its agent is
	// no proof, and so is an error.
	Dead(ctx context.Context, node string) (why string, dead bool, err error)
	// Node is the node's record.
	Node(ctx context.Context, name string) (nic.Node, error)
	Nodes(ctx context.Context) ([]nic.Node, error)
}

// Orders are those that nodes carry out.
type Orders interface {
	// Order gives a task, once: one with the same id is the same task.
	Order(ctx context.Context, task nic.Task) error
	// Await waits until the task is over and returns it; progress, if not nil, is
	// called with what is known until then. When ctx ends, the error says whether
	// the node has begun it.
	Await(ctx context.Context, id nic.TaskID, progress func(nic.Task)) (nic.Task, error)
	// Cancel ends a task that no agent has begun: it never runs. It returns the
	// task as it is then; one that is running goes on. One that was never given is
	// not found.
	Cancel(ctx context.Context, id nic.TaskID) (nic.Task, error)
	// Bury ends the tasks of a move on a node on which nothing runs, also those that
	// its agent has begun: no later agent carries them out. session is the newest of
	// the node from before that was found out, 0 for a node that is forgotten; a newer
	// one since is an error. Those that outlive their move stay.
	Bury(ctx context.Context, move nic.MoveID, node string, session uint64) error
	// Forget drops all tasks of a move.
	Forget(ctx context.Context, move nic.MoveID) error
}

// Streams join a task that sends with one that takes.
type Streams interface {
	// Open returns the name of a new stream that one node may send once and
	// another take once. close breaks off what is under way.
	Open(from, to string) (name string, close func())
}
