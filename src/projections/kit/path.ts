/** Link texts as kernfs makes them. */

/**
 * The text of a link standing at `from` that points at `target`, both paths below the same root (kernfs_get_target_path()): up to the
 * nearest directory above the target that also holds the link, then down. The target's own name is always spelt out, so a link to
 * the directory's own ancestor reads `../../../0000:01:00.0`, not `../..`; Kubernetes' SR-IOV plugin cuts such names out of the text.
 */
export function relativeLink(from: string, target: string): string {
  const up = from.split('/').slice(0, -1);
  const down = target.split('/');
  let common = 0;
  while (common < up.length && common < down.length - 1 && up[common] === down[common]) common++;
  return [...up.slice(common).map(() => '..'), ...down.slice(common)].join('/');
}
