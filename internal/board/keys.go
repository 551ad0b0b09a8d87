package board

import (
	"fmt"
	"strings"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// The board's part of the store. Every value is JSON.
//
//	task/NODE/ID  nic.Task
//	taskat/ID     the name of the node that has the task: there is one of each id
//
// It reads, and does not write:
//
//	node/NAME  nic.Node, for the newest session of its agent
//	move/ID    nic.Move, to tell what is left over
const (
	taskRoot   = "task/"
	atPrefix   = "taskat/"
	nodePrefix = "node/"
	movePrefix = "move/"
)

func taskPrefix(node string) string             { return taskRoot + node + "/" }
func taskKey(node string, id nic.TaskID) string { return taskPrefix(node) + string(id) }
func atKey(id nic.TaskID) string                { return atPrefix + string(id) }
func nodeKey(name string) string                { return nodePrefix + name }
func moveKey(id nic.MoveID) string              { return movePrefix + string(id) }

// What may come in a task's id after its move's and a dot.
const (
	maxWord   = 300 // bytes: the name of a volume, and then some
	wordBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
)

// checkID wants a move's id, a dot and a word.
func checkID(id nic.TaskID) error {
	_, err := moveOf(id)
	return err
}

// moveOf is the move that a task is of.
func moveOf(id nic.TaskID) (nic.MoveID, error) {
	move, word, _ := strings.Cut(string(id), ".")
	of, err := nic.ParseMoveID(move)
	if err == nil && (word == "" || len(word) > maxWord || strings.Trim(word, wordBytes) != "") {
		err = fmt.Errorf("want a dot and a word of at most %d letters, digits, '_', '.' and '-' after %s", maxWord, of)
	}
	if err != nil {
		return "", fmt.Errorf("task id %.200q: %w: %w", id, err, store.ErrNotFound)
	}
	return of, nil
}
