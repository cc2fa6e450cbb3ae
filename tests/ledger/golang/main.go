// Reads an exported log with Go's own sumdb packages: an implementation that shares nothing with ours.
//
// Usage: check DIR-OR-URL VKEY-FILE PROOF-FILE LEAF-INDEX OLDER-CHECKPOINT
package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

func must(err error) {
	if err != nil {
		fmt.Println("FAILED:", err)
		os.Exit(1)
	}
}

func read(name string) []byte {
	data, err := get(name)
	must(err)
	return data
}

// get reads a file, or what a URL answers.
func get(name string) ([]byte, error) {
	if !strings.HasPrefix(name, "http://") {
		return os.ReadFile(name)
	}
	answer, err := http.Get(name)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", name, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

// open verifies a checkpoint and returns the tree it signs.
func open(text []byte, vkey string) tlog.Tree {
	verifier, err := note.NewVerifier(vkey)
	must(err)
	opened, err := note.Open(text, note.VerifierList(verifier))
	must(err)
	lines := strings.Split(opened.Text, "\n")
	if lines[0] != verifier.Name() {
		must(fmt.Errorf("the origin %q is not the key's name", lines[0]))
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	root, err := base64.StdEncoding.DecodeString(lines[2])
	must(err)
	var hash tlog.Hash
	copy(hash[:], root)
	return tlog.Tree{N: size, Hash: hash}
}

// path is where tlog-tiles puts a tile; Go's own Tile.Path has the height in it.
func path(level string, n int64, width int) string {
	text := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		text = fmt.Sprintf("x%03d/%s", n%1000, text)
	}
	if width < 1<<height {
		text += fmt.Sprintf(".p/%d", width)
	}
	return "tile/" + level + "/" + text
}

type files struct{ folder string }

func (f files) Height() int                     { return height }
func (f files) SaveTiles([]tlog.Tile, [][]byte) {}
func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range tiles {
		data, err := get(f.folder + "/" + path(strconv.Itoa(tile.L), tile.N, tile.W))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func main() {
	folder, vkey := os.Args[1], strings.TrimSpace(string(read(os.Args[2])))
	tree := open(read(folder+"/checkpoint"), vkey)
	reader := tlog.TileHashReader(tree, files{folder})

	// Every record hashes to what the tiles say, and the tiles to the signed root.
	var stored []tlog.Hash
	storage := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var found []tlog.Hash
		for _, index := range indexes {
			found = append(found, stored[index])
		}
		return found, nil
	})
	var n int64
	for tile := int64(0); n < tree.N; tile++ {
		width := min(tree.N-n, 1<<height)
		data := read(folder + "/" + path("entries", tile, int(width)))
		for ; width > 0; width-- {
			length := int(binary.BigEndian.Uint16(data))
			hashes, err := tlog.StoredHashes(n, data[2:2+length], storage)
			must(err)
			stored = append(stored, hashes...)
			data = data[2+length:]
			n++
		}
	}
	root, err := tlog.TreeHash(tree.N, storage)
	must(err)
	if root != tree.Hash {
		must(fmt.Errorf("the records do not give the signed root"))
	}
	for index := int64(0); index < tree.N; index += 1 + tree.N/50 {
		proof, err := tlog.ProveRecord(tree.N, index, reader)
		must(err)
		must(tlog.CheckRecord(proof, tree.N, tree.Hash, index, stored[tlog.StoredHashIndex(0, index)]))
	}

	// Our proof of one record.
	head, signed, _ := strings.Cut(string(read(os.Args[3])), "\n\n")
	proven := open([]byte(signed), vkey)
	var proof tlog.RecordProof
	var index int64
	for _, line := range strings.Split(head, "\n")[1:] {
		switch word, rest, _ := strings.Cut(line, " "); word {
		case "extra":
		case "index":
			index, err = strconv.ParseInt(rest, 10, 64)
			must(err)
		default:
			hash, err := tlog.ParseHash(line)
			must(err)
			proof = append(proof, hash)
		}
	}
	if strconv.FormatInt(index, 10) != os.Args[4] {
		must(fmt.Errorf("the proof is about record %d", index))
	}
	must(tlog.CheckRecord(proof, proven.N, proven.Hash, index, stored[tlog.StoredHashIndex(0, index)]))

	// The log continues the tree of the older checkpoint.
	older := open(read(os.Args[5]), vkey)
	if older.N > 0 {
		consistency, err := tlog.ProveTree(tree.N, older.N, reader)
		must(err)
		must(tlog.CheckTree(consistency, tree.N, tree.Hash, older.N, older.Hash))
	}
	fmt.Printf("ok %d %x\n", tree.N, sha256.Sum256(tree.Hash[:]))
}
