//! Merkle trees over SHA-256 (RFC 9162, section 2.1).

use sha2::{Digest, Sha256};

/// A node of a tree: a leaf's hash or that of two nodes.
pub type Node = [u8; 32];

/// The hash of a leaf.
pub fn leaf(data: &[u8]) -> Node {
    Sha256::new().chain_update([0]).chain_update(data).finalize().into()
}

fn parent(left: &Node, right: &Node) -> Node {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The largest power of two below a count of at least two.
fn split(count: usize) -> usize {
    count.next_power_of_two() / 2
}

/// The root over leaves' hashes (2.1.1).
pub fn root(leaves: &[Node]) -> Node {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            parent(&root(left), &root(right))
        }
    }
}

/// The nodes beside the way from a leaf to the root, the lowest first (2.1.3.1); none for an index outside.
pub fn path(index: usize, leaves: &[Node]) -> Vec<Node> {
    if leaves.len() <= 1 || index >= leaves.len() {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, beside) = match index.checked_sub(left.len()) {
        None => (path(index, left), root(right)),
        Some(index) => (path(index, right), root(left)),
    };
    path.push(beside);
    path
}

/// The root that a leaf and its path lead to (2.1.3.2); nothing where index, size and path don't fit each other.
pub fn root_over(leaf: &Node, index: u64, size: u64, path: &[Node]) -> Option<Node> {
    if index >= size {
        return None;
    }
    let (mut at, mut last, mut node) = (index, size - 1, *leaf);
    for beside in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            node = parent(beside, &node);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            node = parent(&node, beside);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(node)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// The leaves of the reference implementation of Certificate Transparency (RFC 6962 and 9162 share the tree).
    const LEAVES: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    /// Its roots over the first 0 to 8 of them.
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    /// Index, size, path.
    const PATHS: [(usize, usize, &[&str]); 5] = [
        (0, 1, &[]),
        (
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
        (
            1,
            5,
            &[
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ];

    fn node(text: &str) -> Node {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    fn leaves(count: usize) -> Vec<Node> {
        LEAVES[..count].iter().map(|text| leaf(&hex::decode(text).unwrap())).collect()
    }

    #[test]
    fn roots_and_paths_are_those_of_the_reference() {
        for (count, expected) in ROOTS.iter().enumerate() {
            assert_eq!(root(&leaves(count)), node(expected), "{count} leaves");
        }
        for (index, size, expected) in PATHS {
            let expected: Vec<Node> = expected.iter().map(|text| node(text)).collect();
            assert_eq!(path(index, &leaves(size)), expected, "leaf {index} of {size}");
            let over = root_over(&leaves(size)[index], index as u64, size as u64, &expected);
            assert_eq!(over, Some(node(ROOTS[size])), "leaf {index} of {size}");
        }
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proved_by_its_path_and_by_no_other() {
        let all: Vec<Node> = (0..40_u8).map(|n| leaf(&[n])).collect();
        for size in 1..=all.len() {
            let (leaves, root) = (&all[..size], root(&all[..size]));
            for index in 0..size {
                let path = path(index, leaves);
                let over = |leaf: usize, index: usize, size: usize, path: &[Node]| {
                    root_over(&all[leaf], index as u64, size as u64, path)
                };
                assert_eq!(over(index, index, size, &path), Some(root));
                assert_ne!(over((index + 1) % all.len(), index, size, &path), Some(root));
                assert_ne!(over(index, index, size, &[&path[..], &[[0; 32]]].concat()), Some(root));
                if let Some((_, shorter)) = path.split_last() {
                    assert_ne!(over(index, index, size, shorter), Some(root));
                }
                if size > 1 {
                    assert_ne!(over(index, (index + 1) % size, size, &path), Some(root));
                }
            }
            assert_eq!(root_over(&all[0], size as u64, size as u64, &[]), None, "an index outside");
        }
    }
}
