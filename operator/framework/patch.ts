/** The smallest merge patch (RFC 7386) that makes `after` of `before`; undefined if they are equal. */
export declare function mergePatch(before: object, after: object): object | undefined;
