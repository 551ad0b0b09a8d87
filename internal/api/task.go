package api

import "github.com/nicferry/nicferry/nic"

// A TaskProgress says how far a task is: Bytes of Total, which is 0 where it is
// not known.
type TaskProgress struct {
	Bytes int64 `json:"bytes" minimum:"0"`
	Total int64 `json:"total,omitempty" minimum:"0"`
}

// A TaskFinish ends a task. It has failed if there is an Error.
type TaskFinish struct {
	Error  string         `json:"error,omitempty"`
	Result nic.TaskResult `json:"result,omitzero"`
}
