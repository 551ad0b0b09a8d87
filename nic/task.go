package nic

import "time"

// TaskID names one order. It is made of its move's id and a word that is unique
// there, so that the same order given twice is one: mov-….stop-source.
type TaskID string

// TaskKind is what a node is ordered to do.
type TaskKind string

// The kinds of task. Each may be carried out again after a crash of the agent:
// what is done already is no error.
const (
	TaskDescribe TaskKind = "describe" // say what a container is: Result.Container
	TaskSurvey   TaskKind = "survey"   // say what the node has, for a container Name of image Ref with Volumes and Networks: Result.Node
	TaskPolicy   TaskKind = "policy"   // set a container's restart policy to Policy
	TaskCreate   TaskKind = "create"   // make a container from the config that Stream brings, with policy no: Result.Made
	TaskStop     TaskKind = "stop"     // end a container's processes, within Grace; one that is gone has none
	TaskStart    TaskKind = "start"    // start a container; one that runs is no error
	TaskRemove   TaskKind = "remove"   // with its anonymous volumes but for Leave, and with those of Volumes that carry the move's label
	TaskHealth   TaskKind = "health"   // wait until the container runs and is healthy
	TaskPull     TaskKind = "pull"     // get the image Ref from its registry, if it is not there
	TaskSend     TaskKind = "send"     // put What of Ref into Stream: Result.Copied
	TaskTake     TaskKind = "take"     // take What of Ref out of Stream: Result.Copied
)

// What a stream carries.
type StreamWhat string

// The things that are sent from node to node through the controller.
const (
	StreamConfig StreamWhat = "config" // a container's full configuration; never stored
	StreamImage  StreamWhat = "image"  // as of docker save; Ref is the image's id
	StreamVolume StreamWhat = "volume" // tar; Ref is the volume's name
	StreamLayer  StreamWhat = "layer"  // tar of what a container has written; Ref is the container
)

// TaskState is how far a task is.
type TaskState string

// The states of a task. Only a pending one can be cancelled: it then never runs.
const (
	TaskPending   TaskState = "pending"
	TaskRunning   TaskState = "running" // an agent has begun
	TaskDone      TaskState = "done"
	TaskFailed    TaskState = "failed"
	TaskCancelled TaskState = "cancelled"
)

// Over says whether the state is final.
func (s TaskState) Over() bool { return s == TaskDone || s == TaskFailed || s == TaskCancelled }

// A Task is one order to one node that is no wanted state: people read of orders,
// records and calls are tasks. A node carries out the tasks of one move one after
// the other, by Seq, and those of different moves at the same time. It holds no
// secret.
type Task struct {
	Schema int      `json:"schema"`
	ID     TaskID   `json:"id"`
	Node   string   `json:"node"`
	Move   MoveID   `json:"move"`
	Seq    uint64   `json:"seq"`
	Kind   TaskKind `json:"kind"`
	// Container is a container's id, or a name where only that is known. For
	// create, stop, start and remove on the target it may be empty: then it is
	// the one that carries the labels of the move (LabelMove).
	Container string `json:"container,omitempty"`
	// Name is that of the container to make.
	Name   string        `json:"name,omitempty"`
	Claims []ClaimID     `json:"claims,omitempty"`
	Policy RestartPolicy `json:"policy,omitzero"`
	Grace  Duration      `json:"grace,omitempty"` // 0 is the container's own
	// Volumes of a create are those on the node already that the container may
	// use (--volumes ignore); any other that is there and not the move's is refused.
	Volumes []string `json:"volumes,omitempty"`
	// NewVolumes of a create are the named ones that it may make.
	NewVolumes []string `json:"newVolumes,omitempty"`
	// Leave: remove leaves the container's anonymous volumes where they are.
	Leave bool `json:"leave,omitempty"`
	// Outlives: while it is not begun it stays when its move ends and is forgotten,
	// until the node is there again and does it, or is forgotten too.
	Outlives bool `json:"outlives,omitempty"`
	// Image is the id that a pull has to bring.
	Image string `json:"image,omitempty"`
	// Networks are Docker's own that a survey looks for, and of a create those that
	// the container may be on; any other is refused.
	Networks []string `json:"networks,omitempty"`
	// Asks are the requests of the claims that a create moves: a container with labels
	// that ask for another NIC is refused.
	Asks   []Request  `json:"asks,omitempty"`
	What   StreamWhat `json:"what,omitempty"`
	Ref    string     `json:"ref,omitempty"`
	Stream string     `json:"stream,omitempty"`
	// Within is how long it may take from when the agent begins.
	Within Duration `json:"within"`

	State TaskState `json:"state"`
	// Session is that of the agent that has begun it.
	Session uint64 `json:"session,omitempty"`
	// Heard is when the node has last said that it is at work.
	Heard time.Time `json:"heard,omitzero"`
	// Bytes of Total are copied so far.
	Bytes   int64      `json:"bytes,omitempty"`
	Total   int64      `json:"total,omitempty"`
	Error   string     `json:"error,omitempty"`
	Result  TaskResult `json:"result,omitzero"`
	Created time.Time  `json:"created"`
	Began   time.Time  `json:"began,omitzero"`
	Ended   time.Time  `json:"ended,omitzero"`
}

// A TaskResult is what a node has to say of a task; which part depends on its kind.
type TaskResult struct {
	Container *ContainerFacts `json:"container,omitempty"`
	Node      *NodeFacts      `json:"node,omitempty"`
	Made      string          `json:"made,omitempty"` // the id of the container
	Copied    *Copied         `json:"copied,omitempty"`
	// Gone: it failed since there is no such container.
	Gone bool `json:"gone,omitempty"`
	// Again: the same order may succeed if it is given again.
	Again bool `json:"again,omitempty"`
}

// Copied is what went through a stream.
type Copied struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // hex
}

// ContainerFacts is what counts of a container for a move. No value of its
// environment, its command line or its labels but ours is in it.
type ContainerFacts struct {
	ID      string        `json:"id"`
	Name    string        `json:"name"`
	Image   string        `json:"image"`   // as its user named it
	ImageID string        `json:"imageId"` // sha256:…
	Digests []string      `json:"digests,omitempty"`
	Size    int64         `json:"size"` // of the image, in bytes
	Running bool          `json:"running"`
	Paused  bool          `json:"paused,omitempty"`
	Policy  RestartPolicy `json:"policy"`
	Grace   Duration      `json:"grace"` // what docker stop gives it
	// Health: it has a health check.
	Health      bool     `json:"health,omitempty"`
	NetworkMode string   `json:"networkMode"`
	Networks    []string `json:"networks,omitempty"`  // Docker's own
	Published   []string `json:"published,omitempty"` // as in docker ps
	Privileged  bool     `json:"privileged,omitempty"`
	Devices     []string `json:"devices,omitempty"`
	// Shares are namespaces and other things that it has together with the host
	// or with another container, such as pid=host, ipc=container:ID, cgroup parent.
	Shares     []string      `json:"shares,omitempty"`
	AutoRemove bool          `json:"autoRemove,omitempty"`
	Memory     int64         `json:"memory,omitempty"` // its limit in bytes, else what it uses
	Binds      []string      `json:"binds,omitempty"`  // bind mounts: the host's path
	Volumes    []VolumeFacts `json:"volumes,omitempty"`
	// Written is what it has written beside its mounts, as of docker diff: how
	// many paths, the first few, and bytes.
	Written      int      `json:"written,omitempty"`
	WrittenFirst []string `json:"writtenFirst,omitempty"`
	WrittenBytes int64    `json:"writtenBytes,omitempty"`
	LogDriver    string   `json:"logDriver,omitempty"`
}

// VolumeFacts is a volume of a container.
type VolumeFacts struct {
	Name      string `json:"name"`
	Driver    string `json:"driver"`
	Target    string `json:"target"` // path in the container
	Anonymous bool   `json:"anonymous,omitempty"`
	Bytes     int64  `json:"bytes"`
	// Others use it too: names of containers.
	Others []string `json:"others,omitempty"`
}

// NodeFacts is what counts of a node for a move to it.
type NodeFacts struct {
	// Moves: the node's agent may be given orders at all.
	Moves    bool   `json:"moves"`
	Docker   string `json:"docker"`
	Arch     string `json:"arch"`
	OS       string `json:"os"`
	Driver   string `json:"driver"` // of storage
	Memory   int64  `json:"memory"` // available, in bytes
	Disk     int64  `json:"disk"`   // free where Docker keeps its data, in bytes
	NameUsed bool   `json:"nameUsed,omitempty"`
	HasImage bool   `json:"hasImage,omitempty"`
	// Volumes and Networks are those of the container's that are there already.
	Volumes    []string `json:"volumes,omitempty"`
	Networks   []string `json:"networks,omitempty"`
	LogDrivers []string `json:"logDrivers,omitempty"`
	// NoCheckpoint says why no processes are carried along from there, nor to there.
	NoCheckpoint string `json:"noCheckpoint,omitempty"`
}
